// What the READMEs say is so: settings, providers, and the Worker of src/middleware/README.md, which compiles for people who
// do not have our compiler options.

import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { expect, onTestFinished, test } from 'vitest'
import { parseConfig, VARIABLES } from '../../src/config.ts'
import { variableOf } from '../../src/providers/compatible/configured.ts'
import { KNOWN_PROVIDERS } from '../../src/providers/compatible/table.ts'

const ROOT = resolve(import.meta.dirname, '../..')
const read = (path: string) => readFile(join(ROOT, path), 'utf8')
const readme = await read('src/middleware/README.md')

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

test('the table of settings has every variable, and its default', async () => {
  const rows = (await read('src/README.md')).split('\n').filter((line) => line.startsWith('| '))
  // `OPENAI_` and `OPENAI_API_KEY` stand for the base URL, too.
  const namesOf = (variable: string) => {
    const prefix = variable.replace(/(API_KEY|BASE_URL)$/, '')
    return [variable, prefix, `${prefix}API_KEY`].map((name) => `\`${name}\``)
  }
  const rowOf = (variable: string) => rows.find((row) => namesOf(variable).some((name) => row.includes(name)))
  const keys = KNOWN_PROVIDERS.map(({ name }) => variableOf(name, 'API_KEY'))
  expect([...VARIABLES, ...keys].filter((variable) => !rowOf(variable))).toEqual([])

  const required = {
    DATABASE_URL: 'postgresql://nobody@localhost/none',
    KEY_SIGNING_SECRETS: 'x'.repeat(32),
    ADMIN_TOKEN: 'x'.repeat(24),
  }
  for (const [name, value] of Object.entries(parseConfig(required))) {
    if (name in required || name.endsWith('_BASE_URL') || typeof value === 'object') continue
    expect(rowOf(name)?.split(' | ')[1], name).toMatch(new RegExp(`\\b${value}\\b`))
  }
})

test('the tables of providers have every one that is compatible with OpenAI', async () => {
  const [first, detailed] = [await read('README.md'), await read('src/providers/README.md')]
  for (const { name } of KNOWN_PROVIDERS) {
    expect(first).toContain(`\`/${name}/v1\``)
    expect(detailed).toContain(`\n| \`${name}\` | `)
  }
})

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
