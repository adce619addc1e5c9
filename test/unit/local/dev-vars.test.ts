import { parseEnv } from 'node:util'
import { expect, test } from 'vitest'
import {
  formatEnvFile,
  providersOf,
  textOfDevVars,
  type Vars,
  withoutEffect,
  workerVars,
} from '../../../src/local/dev-vars.ts'

const warnings = (text: string) => withoutEffect(text, parseEnv(text) as Vars)

test.each([
  'OPENAI_API_KEY=sk-x\n# OPENAI_KEY\n\nexport GROQ_API_KEY = gsk\r\nBEDROCK_MODELS=\'{\n  "a": "b"\n}\'\n',
  'PROVIDERS=\'[{"name":"acme","api_key_binding":"OUR_KEY"}]\'\nOUR_KEY=x\nACME_BASE_URL=https://x',
  // The worker says what is wrong with them.
  'PROVIDERS=[{]\nACME_API_KEY=x',
  'PROVIDERS=[{"name":"acme","base_url":"https://acme.example/v1"}]\nACME_API_KEY=x\nAZURE_API_KEY=y',
])('no warning of %j', (text) => {
  expect(warnings(text)).toEqual([])
})

test.each([
  ['OPENAI_KEY=sk-secret', ['OPENAI_KEY is unknown to Tollgate and has no effect.']],
  ['ACME_API_KEY=sk-secret', ['ACME_API_KEY is unknown to Tollgate and has no effect.']],
  ['OPENAI_API_KEY sk-secret', ['the line of OPENAI_API_KEY is not OPENAI_API_KEY=value and has no effect.']],
  [
    'DATABASE_URL: postgresql://u:secret@h/db?sslmode=require',
    ['the line of DATABASE_URL is not DATABASE_URL=value and has no effect.'],
  ],
  ['set GROQ_API_KEY=gsk-secret', ['the line of GROQ_API_KEY is not GROQ_API_KEY=value and has no effect.']],
  ['$env:GROQ_API_KEY="gsk-secret"', ['the line of GROQ_API_KEY is not GROQ_API_KEY=value and has no effect.']],
  ['- GROQ_API_KEY=GSK_SECRET', ['the line of GROQ_API_KEY is not GROQ_API_KEY=value and has no effect.']],
  ["MODELS = '''[\n  \"openai/gpt-4o\"\n]'''", ['the line of MODELS is not MODELS=value and has no effect.']],
  ['ADMIN_TOKEN secret==', ['the line of ADMIN_TOKEN is not ADMIN_TOKEN=value and has no effect.']],
])('%j is warned of, without its value', (text, expected) => {
  expect(warnings(text)).toEqual(expected.map((warning) => `.dev.vars: ${warning}`))
})

test('a service has its address in PER_CALL_SERVICES alone', () => {
  const routes = [{ name: 'find', method: 'GET', path: '/find', usd_per_request: 1 }]
  const finder = { provider: 'finder', base_url: 'https://finder.example', credential_header: 'x-key', routes }
  const text = `PER_CALL_SERVICES='${JSON.stringify([finder])}'\nFINDER_API_KEY=x\nFINDER_BASE_URL=https://other.example`
  expect(warnings(text)).toEqual(['.dev.vars: FINDER_BASE_URL is unknown to Tollgate and has no effect.'])
})

test('a byte order mark is no part of the first name, and UTF-16 is no text', () => {
  expect(textOfDevVars('\uFEFFGROQ_API_KEY=x')).toBe('GROQ_API_KEY=x')
  expect(() => textOfDevVars('\uFFFD\uFFFDG\0R\0')).toThrow('.dev.vars must be UTF-8')
})

test('what wrangler.toml configures is known, but for what .dev.vars says of it', () => {
  const tomlVars = {
    PROVIDERS: '[{"name":"acme","base_url":"https://acme.example/v1"}]',
    PER_CALL_SERVICES: '[]',
    GROQ_BASE_URL: 'https://groq.example/v1',
    OPENAI_API_KEY: 'overridden by the fake',
  }
  const text = 'ACME_API_KEY=x\nPROVIDERS=\nOTHER_API_KEY=y'
  const devVars = parseEnv(text) as Vars
  expect(withoutEffect(text, devVars, tomlVars)).toEqual([
    '.dev.vars: OTHER_API_KEY is unknown to Tollgate and has no effect.',
  ])
  const real = (written: Vars) =>
    providersOf(written, tomlVars).flatMap(({ name, is }) => (is === 'real' ? [name] : []))
  expect(real(devVars)).toEqual(['acme', 'groq'])
  expect(real({ PROVIDERS: '[]' })).toEqual(['groq'])
  const empty = { PROVIDERS: '', PER_CALL_SERVICES: '' }
  const written = { GROQ_API_KEY: 'gsk', ACME_API_KEY: 'x' }
  expect(providersOf(written, empty)).toContainEqual({ name: 'groq', is: 'real' })
  expect(withoutEffect('', written, empty)).toEqual([
    '.dev.vars: ACME_API_KEY is unknown to Tollgate and has no effect.',
  ])
})

test('what is written wins over the fakes and the kept secrets, what is empty does not; the database is the local one', () => {
  const local = {
    secrets: { KEY_SIGNING_SECRETS: 'kept', ADMIN_TOKEN: 'kept' },
    databaseUrl: 'postgresql://local',
    databaseHttpUrl: 'http://local',
    fakeProviderUrl: 'http://fake',
  }
  const devVars = {
    ADMIN_TOKEN: 'own',
    OPENAI_BASE_URL: 'http://own',
    ANTHROPIC_BASE_URL: '',
    AWS_ACCESS_KEY_ID: 'AKIA',
    DATABASE_URL: 'postgresql://own',
  }
  const vars = workerVars(devVars, local)
  expect(vars).toMatchObject({
    KEY_SIGNING_SECRETS: 'kept',
    ADMIN_TOKEN: 'own',
    OPENAI_BASE_URL: 'http://own',
    ANTHROPIC_API_KEY: 'sk-ant-fake',
    ANTHROPIC_BASE_URL: 'http://fake',
    DATABASE_URL: 'postgresql://local',
    DATABASE_HTTP_URL: 'http://local',
  })
  // What is at an address of one's own is no fake, and gets none of its keys. The keys of AWS are Bedrock's.
  for (const name of ['OPENAI_API_KEY', 'BEDROCK_API_KEY']) expect(vars).not.toHaveProperty(name)
  const real = providersOf(devVars).filter(({ is }) => is === 'real')
  expect(real.map(({ name }) => name)).toEqual(['OpenAI', 'Bedrock'])
})

test('a value is quoted with what it does not contain, and named where nothing can quote it', () => {
  expect(formatEnvFile({ A: '$1 "', B: `it's` })).toBe(`A='\\$1 "'\nB=\`it's\`\n`)
  for (const C of ["`'", 'C:\\'])
    expect(() => formatEnvFile({ C })).toThrow('.dev.vars: the value of C cannot be quoted')
})
