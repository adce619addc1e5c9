// What src/middleware/README.md shows is what works: its Worker compiles for people who do not have our compiler options.

import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { expect, onTestFinished, test } from 'vitest'

const ROOT = resolve(import.meta.dirname, '../..')
const readme = await readFile(join(ROOT, 'src/middleware/README.md'), 'utf8')

const shownWorker = readme.match(/```ts\n(.*?)```/s)?.[1] ?? ''

// As `wrangler types` writes it for a binding with a `script_name`.
const ENV = `declare namespace Cloudflare {
  interface Env { USAGE_LEDGER: DurableObjectNamespace; KEY_SIGNING_SECRETS: string }
}
interface Env extends Cloudflare.Env {}`

const TSCONFIG = {
  compilerOptions: {
    target: 'es2024',
    lib: ['es2024'],
    module: 'esnext',
    moduleResolution: 'bundler',
    types: ['@cloudflare/workers-types'],
    strict: true,
    skipLibCheck: true,
    allowImportingTsExtensions: true,
    noEmit: true,
    // What `strict` leaves out, and many switch on: it holds for Tollgate's sources, too, as they are no declarations.
    exactOptionalPropertyTypes: true,
    noFallthroughCasesInSwitch: true,
    noImplicitOverride: true,
    noImplicitReturns: true,
    noPropertyAccessFromIndexSignature: true,
    noUncheckedIndexedAccess: true,
    noUnusedLocals: true,
    noUnusedParameters: true,
    verbatimModuleSyntax: true,
  },
}

test('the Hono to install is the one whose types those of the middleware are', async () => {
  const { dependencies } = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8'))
  expect(readme).toContain(`npm install ../tollgate hono@${dependencies.hono}\``)
})

test('the Worker that guards its own routes compiles with the options that it names, and with all that is stricter', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'own-routes-'))
  onTestFinished(() => rm(folder, { recursive: true }))
  const modules = join(folder, 'node_modules')
  await mkdir(modules)
  // What `npm install ../tollgate hono` makes. Any user of Windows may make a junction; elsewhere it is a symlink.
  await symlink(ROOT, join(modules, 'tollgate'), 'junction')
  for (const name of ['hono', '@cloudflare'])
    await symlink(join(ROOT, 'node_modules', name), join(modules, name), 'junction')
  expect(shownWorker).toContain('usageCaps({ ledgerOf')
  await writeFile(join(folder, 'index.ts'), shownWorker)
  await writeFile(join(folder, 'env.d.ts'), ENV)
  await writeFile(join(folder, 'tsconfig.json'), JSON.stringify(TSCONFIG))

  const tsc = join(ROOT, 'node_modules/typescript/bin/tsc')
  const { stdout } = await promisify(execFile)(process.execPath, [tsc, '-p', folder]).catch((failed) => failed)
  expect(stdout).toBe('')
})
