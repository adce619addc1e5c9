import { describe, expect, test } from 'vitest'
import { faultOf, importsOf } from './imports.ts'

const found = (source: string) =>
  importsOf(source).map(({ specifier, type_only }) => (type_only ? `type ${specifier}` : specifier))
const fault = (file: string, specifier: string, type_only = false) => faultOf(file, { specifier, type_only })

describe('the scan of imports', () => {
  test('finds every form of import', () => {
    const source = [
      `import a, { type b } from 'one'`,
      `import type { C } from 'two'`,
      `import {\n  d,\n  e as f,\n} from './three.ts'`,
      `import 'four'`,
      `export * from 'five'`,
      `export type { G } from 'six'`,
      `export { h } from 'seven'`,
      `const i = await import('eight')`,
      `import * as j from "node:fs"`,
    ].join('\n')
    expect(found(source).sort()).toEqual(
      ['one', 'type two', './three.ts', 'four', 'five', 'type six', 'seven', 'eight', 'node:fs'].sort(),
    )
  })

  test('does not take comments, strings or routes for imports', () => {
    const source = `// import a from 'node:a'\n/**\n * import b from 'node:b'\n */\napp.use('/x/*', y)\nconst z = 'from'\nexport const from = 'q'\napp.use('/z/*', y)`
    expect(found(source)).toEqual([])
  })
})

describe('what the design forbids', () => {
  test('platform modules outside the files that may know their platform', () => {
    expect(fault('src/auth/keys.ts', 'node:crypto')).toContain('Web-standard')
    expect(fault('durable-objects/outbox.ts', 'cloudflare:workers', true)).toContain('Web-standard')
    expect(fault('src/index.ts', 'cloudflare:workers')).toBeNull()
    expect(fault('durable-objects/usage-ledger.ts', 'cloudflare:workers')).toBeNull()
    expect(fault('src/local/start.ts', 'node:fs')).toBeNull()
  })

  test('a ledger that knows anything but types outside its folder', () => {
    expect(fault('durable-objects/ledger/decide.ts', '../../src/errors.ts')).toContain('ledger')
    expect(fault('durable-objects/ledger/decide.ts', '../../src/errors.ts', true)).toBeNull()
    expect(fault('durable-objects/ledger/decide.ts', './windows.ts')).toBeNull()
    expect(fault('durable-objects/ledger/windows.ts', 'temporal-polyfill')).toBeNull()
  })

  test('imports that point upwards', () => {
    expect(fault('src/postgres/users.ts', '../admin/users.ts')).toContain('one way')
    expect(fault('src/gateway/gateway.ts', '../app.ts', true)).toContain('one way')
    expect(fault('src/middleware/usage-caps.ts', '../gateway/call.ts')).toContain('one way')
    expect(fault('src/admin/routes.ts', '../local/migrate.ts')).toContain('one way')
    expect(fault('src/auth/keys.ts', '../../test/support/x.ts')).toContain('tests')
    expect(fault('src/app.ts', './gateway/gateway.ts')).toBeNull()
    expect(fault('src/gateway/call.ts', '../../durable-objects/ledger/types.ts')).toBeNull()
  })
})
