// The variables of the worker: what each becomes, and how a wrong one is named.

import { describe, expect, test } from 'vitest'
import { ConfigError, parseConfig, parseWorkerConfig, VARIABLES } from '../../src/config.ts'
import { configuredPrices, providersOf } from '../../src/gateway/upstreams.ts'

const ENV = {
  DATABASE_URL: 'postgresql://nobody@localhost/none',
  KEY_SIGNING_SECRETS: 'a-signing-secret-of-32-characters',
  ADMIN_TOKEN: 'an-admin-token-of-24-chars',
}
const AWS = { AWS_ACCESS_KEY_ID: 'AKIA1', AWS_SECRET_ACCESS_KEY: 'aws-secret' }
const FINDER = {
  provider: 'finder',
  base_url: 'https://finder.example/',
  credential_header: 'x-finder-key',
  routes: [{ name: 'find', method: 'GET', path: '/v1/find/:id', usd_per_request: 0.005 }],
}
const services = (...list: object[]) => ({ PER_CALL_SERVICES: JSON.stringify(list) })

const parsed = (more: object = {}) => parseConfig({ ...ENV, ...more })
function upstreamOf(name: string, more: object) {
  const found = providersOf(parsed(more)).find(({ dialect }) => dialect.provider === name)
  return found?.upstream ?? expect.unreachable(`there is no ${name}`)
}
function fault(env: object): string {
  try {
    parseConfig(env)
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError)
    return String(error)
  }
  return expect.unreachable('it was accepted')
}

test.each([
  'postgresql://u:S3CRET#w@h/db',
  'postgresql://u:S3CRET@h/ET@h/db',
  'postgresql://u:S3CRET@h/E?T@h/db?sslmode=require',
  'postgresql://u:5432#S3CRET@h/db',
  'postgresql://u:S3CRET@h:port/db',
  'postgresql://u:S3CRET@h',
  'postgresql://h/S3CRET',
  'postgresql://u:S3CRET@/db',
  'postgresqlite://u:S3CRET@h/db',
  'mysql://u:S3CRET@h/db',
])('the connection string %s is refused by name, and its password is not said', (DATABASE_URL) => {
  expect(fault({ ...ENV, DATABASE_URL })).toMatch(/DATABASE_URL: must be (a|like) postgresql:/)
  expect(fault({ ...ENV, DATABASE_URL })).not.toContain('S3CRET')
})

describe('where calls go, and with whose credential', () => {
  test('without a variable to the providers themselves, without a credential', () => {
    const upstreams = providersOf(parsed()).map(({ dialect, upstream }) => [dialect.provider, upstream])
    const at = (base_url: string) => ({ base_url, credential: undefined })
    expect(Object.fromEntries(upstreams)).toEqual({
      openai: at('https://api.openai.com'),
      anthropic: at('https://api.anthropic.com'),
      bedrock: at('https://bedrock-runtime.us-east-1.amazonaws.com'),
      gemini: at('https://generativelanguage.googleapis.com'),
      'google-places': at('https://places.googleapis.com'),
    })
  })

  test.each([
    ['openai', 'OPENAI'],
    ['anthropic', 'ANTHROPIC'],
    ['bedrock', 'BEDROCK'],
    ['gemini', 'GEMINI'],
    ['google-places', 'GOOGLE_PLACES'],
  ])('%s: %s_API_KEY and %s_BASE_URL', (name, variable) => {
    const own = { [`${variable}_API_KEY`]: 'k', [`${variable}_BASE_URL`]: 'https://proxy.example/x/' }
    expect(upstreamOf(name, own)).toEqual({ base_url: 'https://proxy.example/x', credential: 'k' })
    expect(upstreamOf(name, { [`${variable}_API_KEY`]: '' }).credential).toBeUndefined()
  })

  test('bedrock: its region names its endpoint; AWS’s keys sign where there is no API key', () => {
    const region = { BEDROCK_REGION: 'eu-central-1' }
    expect(upstreamOf('bedrock', { ...region, ...AWS })).toEqual({
      base_url: 'https://bedrock-runtime.eu-central-1.amazonaws.com',
      credential: 'AKIA1:aws-secret',
    })
    expect(upstreamOf('bedrock', { ...AWS, AWS_SESSION_TOKEN: 't' }).credential).toBe('AKIA1:aws-secret:t')
    expect(upstreamOf('bedrock', { ...AWS, BEDROCK_API_KEY: 'k' }).credential).toBe('k')
    expect(upstreamOf('bedrock', { ...AWS, BEDROCK_API_KEY: '' }).credential).toBe('AKIA1:aws-secret')
    expect(parsed({ BEDROCK_REGION: 'us-gov-west-1' }).BEDROCK_REGION).toBe('us-gov-west-1')
  })

  test('services that are paid by the call: each with its key and its prices', () => {
    const more = { ...services(FINDER), FINDER_API_KEY: 'k' }
    expect(upstreamOf('finder', more)).toEqual({ base_url: 'https://finder.example', credential: 'k' })
    expect(upstreamOf('finder', services(FINDER)).credential).toBeUndefined()
    const priceOf = configuredPrices(parsed(more))
    expect(priceOf('finder', 'find')?.request_nano_usd).toBe(5_000_000)
    expect(priceOf('google-places', 'place-photo')?.request_nano_usd).toBe(7_000_000)
    expect(priceOf('finder', 'other')).toBeUndefined()
  })

  test('compatible providers stand beside them', () => {
    const more = { ...services(FINDER), GROQ_API_KEY: 'k' }
    expect(upstreamOf('groq', more)).toEqual({ base_url: 'https://api.groq.com/openai', credential: 'k' })
  })
})

describe('JSON', () => {
  const MODELS = { 'claude-sonnet-4-5': 'us.anthropic.claude-sonnet-4-5-20250929-v1:0' }

  test('may be text or, as Cloudflare has it too, a value; nothing where it is unset or empty', () => {
    expect(parsed({ BEDROCK_MODELS: JSON.stringify(MODELS) }).BEDROCK_MODELS).toEqual(MODELS)
    expect(parsed({ BEDROCK_MODELS: MODELS }).BEDROCK_MODELS).toEqual(MODELS)
    expect(parsed({ PER_CALL_SERVICES: [FINDER] }).PER_CALL_SERVICES).toHaveLength(1)
    for (const unset of [undefined, '']) {
      const config = parsed({ BEDROCK_MODELS: unset, PER_CALL_SERVICES: unset, PROVIDERS: unset })
      expect(config).toMatchObject({ BEDROCK_MODELS: {}, PER_CALL_SERVICES: [], COMPATIBLE_PROVIDERS: [] })
    }
  })

  test.each<[object, string]>([
    [{ BEDROCK_MODELS: '{"sk-secret' }, 'BEDROCK_MODELS: is not valid JSON'],
    [{ BEDROCK_MODELS: '{"\\q": 1}' }, 'BEDROCK_MODELS: is not valid JSON'],
    [{ BEDROCK_MODELS: '[]' }, 'BEDROCK_MODELS: '],
    [{ BEDROCK_MODELS: '{"a":""}' }, 'BEDROCK_MODELS.a: '],
    [{ BEDROCK_MODELS: '{"a":1}' }, 'BEDROCK_MODELS.a: '],
    [{ BEDROCK_MODELS: '{"a":" us.anthropic.b "}' }, 'BEDROCK_MODELS.a: must be a model id or an ARN of Bedrock'],
    [{ BEDROCK_MODELS: '{"a":"anthropic/b"}' }, 'BEDROCK_MODELS.a: must be a model id or an ARN of Bedrock'],
    [{ PER_CALL_SERVICES: '[{"sk-secret' }, 'PER_CALL_SERVICES: is not valid JSON'],
    [{ PER_CALL_SERVICES: '{}' }, 'PER_CALL_SERVICES: '],
    [services({ ...FINDER, base_url: undefined }), 'PER_CALL_SERVICES.0.base_url: is required'],
    [services({ ...FINDER, routes: [] }), 'PER_CALL_SERVICES.0.routes: must have at least one route'],
    [services({ ...FINDER, provider: 'prices' }), 'PER_CALL_SERVICES.0.provider: is the name of another route'],
    [services({ ...FINDER, provider: 'google-places' }), 'PER_CALL_SERVICES.0.provider: is the name of another route'],
    [services(FINDER, FINDER), 'PER_CALL_SERVICES.1.provider: is used twice'],
    [{ PROVIDERS: '[{"sk-secret' }, 'PROVIDERS: must be a JSON array of objects'],
    [{ BEDROCK_MODELS: '{"a":"b","a":"c"}' }, 'BEDROCK_MODELS: has a more than once'],
    [{ PER_CALL_SERVICES: '[{"routes":[{"name":"a","name":"b"}]}]' }, 'PER_CALL_SERVICES: has [0].routes[0].name more'],
    [
      { PROVIDERS: '[{"name":"acme","base_url":"https://a.example","base_url":"https://b.example"}]' },
      'PROVIDERS: has [0].base_url more than once',
    ],
  ])('that is wrong is named, and not repeated: %j', (more, said) => {
    const message = fault({ ...ENV, ...more })
    expect(message).toContain(`Tollgate is not configured. ${said}`)
    expect(message).not.toContain('sk-secret')
    // One fault, said once.
    expect(message).not.toContain(';')
  })
})

test('what is left out, or empty, is as src/README.md says', () => {
  const unset = VARIABLES.filter((name) => !(name in ENV))
  expect(parsed(Object.fromEntries(unset.map((name) => [name, ''])))).toEqual(parsed({}))
  const { DATABASE_URL: _, KEY_SIGNING_SECRETS: __, ADMIN_TOKEN: ___, ...defaults } = parsed({})
  expect(defaults).toEqual({
    OPENAI_BASE_URL: 'https://api.openai.com',
    ANTHROPIC_BASE_URL: 'https://api.anthropic.com',
    BEDROCK_REGION: 'us-east-1',
    GEMINI_BASE_URL: 'https://generativelanguage.googleapis.com',
    GOOGLE_PLACES_BASE_URL: 'https://places.googleapis.com',
    BEDROCK_MODELS: {},
    MODELS: [],
    PER_CALL_SERVICES: [],
    COMPATIBLE_PROVIDERS: [],
    HOLD_TTL_SECONDS: 1_200,
    FIRST_BYTE_TIMEOUT_SECONDS: 570,
    IDLE_TIMEOUT_SECONDS: 280,
    JWT_ADMIN_ROLE: 'tollgate-admin',
  })
})

test('origins are a list', () => {
  const origins = ['https://app.example.com', 'http://localhost:3000']
  expect(parsed({ CORS_ORIGINS: origins.join(', ') }).CORS_ORIGINS).toEqual(origins)
})

describe('a wrong configuration is named', () => {
  test.each<[object, string]>([
    [{ ADMIN_TOKEN: undefined }, 'ADMIN_TOKEN: is required'],
    [{ ADMIN_TOKEN: 'a'.repeat(23) }, 'ADMIN_TOKEN: must have at least 24 characters'],
    [{ ADMIN_TOKEN: `${ENV.ADMIN_TOKEN}\n` }, 'ADMIN_TOKEN: must be ASCII without white space around it'],
    [{ ADMIN_TOKEN: ` ${ENV.ADMIN_TOKEN}` }, 'ADMIN_TOKEN: must be ASCII without white space around it'],
    [{ ADMIN_TOKEN: `${ENV.ADMIN_TOKEN} ` }, 'ADMIN_TOKEN: must be ASCII without white space around it'],
    [{ ADMIN_TOKEN: `${ENV.ADMIN_TOKEN}\u2026` }, 'ADMIN_TOKEN: must be ASCII without white space around it'],
    [{ KEY_SIGNING_SECRETS: '' }, 'KEY_SIGNING_SECRETS: is required'],
    [{ KEY_SIGNING_SECRETS: 'a'.repeat(31) }, 'KEY_SIGNING_SECRETS.0: must have at least 32 characters'],
    [{ KEY_SIGNING_SECRETS: `${'a'.repeat(32)},` }, 'KEY_SIGNING_SECRETS.1: must have at least 32 characters'],
    [{ JWT_ISSUER: 'i', JWT_HS256_SECRET: 'a'.repeat(31) }, 'JWT_HS256_SECRET: must have at least 32 characters'],
    [{ JWT_ISSUER: 'i', JWT_JWKS_URL: 'jwks' }, 'JWT_JWKS_URL: must be an http:// or https:// URL'],
    [{ JWT_ISSUER: 'i', JWT_JWKS_URL: 'httpx://id.example' }, 'JWT_JWKS_URL: must be an http:// or https:// URL'],
    [{ JWT_HS256_SECRET: 'a'.repeat(32) }, 'JWT_ISSUER: is required where JWTs are accepted'],
    [{ JWT_JWKS_URL: 'https://id.example/jwks' }, 'JWT_ISSUER: is required where JWTs are accepted'],
    [{ DATABASE_HTTP_URL: 'localhost' }, 'DATABASE_HTTP_URL: must be an http:// or https:// URL'],
    [{ CAP_STATUS: '500' }, 'CAP_STATUS: must be 402, 403 or 429'],
    [{ CAP_STATUS: 'abc' }, 'CAP_STATUS: must be 402, 403 or 429'],
    [{ CORS_ORIGINS: 'app.example.com' }, 'CORS_ORIGINS: must be *, or origins like https://app.example.com'],
    [{ CORS_ORIGINS: 'https://app.example.com/' }, 'CORS_ORIGINS: must be *, or origins like'],
    [{ CORS_ORIGINS: 'https://app.example.com, *' }, 'CORS_ORIGINS: must be *, or origins like'],
    [{ CORS_ORIGINS: 'null' }, 'CORS_ORIGINS: must be *, or origins like'],
    [{ BEDROCK_REGION: 'eu-west-1.evil.example/' }, 'BEDROCK_REGION: must be an AWS region'],
    [{ BEDROCK_REGION: 'europe' }, 'BEDROCK_REGION: must be an AWS region'],
    [{ BEDROCK_BASE_URL: 'bedrock' }, 'BEDROCK_BASE_URL: must be an http:// or https:// URL'],
    [{ BEDROCK_BASE_URL: 'https://b.example?x=1' }, 'BEDROCK_BASE_URL: must have no credentials, no query'],
    [{ GEMINI_BASE_URL: 'ftp://gemini.example' }, 'GEMINI_BASE_URL: must be an http:// or https:// URL'],
    [{ GOOGLE_PLACES_BASE_URL: 'places' }, 'GOOGLE_PLACES_BASE_URL: must be an http:// or https:// URL'],
    [{ DEFAULT_MAX_OUTPUT_TOKENS: '10000001' }, 'DEFAULT_MAX_OUTPUT_TOKENS: must be at most 10000000'],
    [{ HOLD_TTL_SECONDS: '0' }, 'HOLD_TTL_SECONDS: must be at least 1'],
    [{ HOLD_TTL_SECONDS: '86401' }, 'HOLD_TTL_SECONDS: must be at most 86400'],
    [{ FIRST_BYTE_TIMEOUT_SECONDS: '0' }, 'FIRST_BYTE_TIMEOUT_SECONDS: must be at least 1'],
    [{ FIRST_BYTE_TIMEOUT_SECONDS: '3601' }, 'FIRST_BYTE_TIMEOUT_SECONDS: must be at most 3600'],
    [{ DEFAULT_MAX_OUTPUT_TOKENS: '0' }, 'DEFAULT_MAX_OUTPUT_TOKENS: must be at least 1'],
    [{ HOLD_TTL_SECONDS: '1.5' }, 'HOLD_TTL_SECONDS: must be a whole number'],
    [{ HOLD_TTL_SECONDS: 'soon' }, 'HOLD_TTL_SECONDS: must be a number'],
    [{ HOLD_TTL_SECONDS: [60] }, 'HOLD_TTL_SECONDS: must be a number'],
    [{ DEFAULT_MAX_OUTPUT_TOKENS: true }, 'DEFAULT_MAX_OUTPUT_TOKENS: must be a number'],
    [{ CAP_STATUS: [402] }, 'CAP_STATUS: must be 402, 403 or 429'],
    [{ IDLE_TIMEOUT_SECONDS: '86400' }, 'IDLE_TIMEOUT_SECONDS: must be at most 3600'],
    [{ AWS_ACCESS_KEY_ID: 'AKIA1' }, 'AWS_SECRET_ACCESS_KEY: and AWS_ACCESS_KEY_ID must be set together'],
    [{ AWS_SECRET_ACCESS_KEY: 's' }, 'AWS_SECRET_ACCESS_KEY: and AWS_ACCESS_KEY_ID must be set together'],
    [{ ...AWS, AWS_ACCESS_KEY_ID: '' }, 'AWS_SECRET_ACCESS_KEY: and AWS_ACCESS_KEY_ID must be set together'],
  ])('%j', (more, said) => {
    const message = fault({ ...ENV, ...more })
    expect(message).toContain(`Tollgate is not configured. ${said}`)
    expect(message).not.toContain('aws-secret')
  })

  test.each([
    'OPENAI_API_KEY',
    'ANTHROPIC_API_KEY',
    'BEDROCK_API_KEY',
    'AWS_ACCESS_KEY_ID',
    'AWS_SECRET_ACCESS_KEY',
    'AWS_SESSION_TOKEN',
    'GEMINI_API_KEY',
    'GOOGLE_PLACES_API_KEY',
    'GROQ_API_KEY',
    'ACME_API_KEY',
    'FINDER_API_KEY',
  ])('%s that no header can carry is not left to be found by the clients', (name) => {
    const PROVIDERS = '[{"name":"acme","base_url":"https://acme.example/v1"}]'
    for (const key of ['sk-secret\n', ' sk-secret', 'sk-secret\u2026', ' ']) {
      const message = fault({ ...ENV, ...AWS, ...services(FINDER), PROVIDERS, [name]: key })
      expect(message).toBe(
        `ConfigError: Tollgate is not configured. ${name}: must be printable ASCII without white space`,
      )
    }
  })

  test.each([
    ['GROQ_API_KEY', 'must be a text'],
    ['ACME_API_KEY', 'must be a text'],
    ['SHARED', 'must be a text'],
    ['FINDER_API_KEY', 'must be a text'],
    ['GROQ_BASE_URL', 'must be an http:// or https:// URL'],
    ['BETA_BASE_URL', 'must be an http:// or https:// URL'],
  ])('%s that is no text, as wrangler.toml may have it, is not as if it were not set', (name, said) => {
    const acme = { name: 'acme', base_url: 'https://acme.example/v1' }
    const PROVIDERS = [acme, { ...acme, name: 'shared', api_key_binding: 'SHARED' }, { name: 'beta' }]
    const env = { ...ENV, ...services(FINDER), PROVIDERS, SHARED: 'k', BETA_BASE_URL: 'https://beta.example' }
    for (const value of [7, true, null, ['k']])
      expect(fault({ ...env, [name]: value })).toBe(`ConfigError: Tollgate is not configured. ${name}: ${said}`)
  })

  test('a service of the name of a compatible provider, whichever variable brought it', () => {
    const acme = { name: 'finder', base_url: 'https://acme.example/v1' }
    const said = 'PER_CALL_SERVICES: finder is already the name of a provider.'
    expect(fault({ ...ENV, ...services(FINDER), PROVIDERS: JSON.stringify([acme]) })).toContain(said)
    const groq = services({ ...FINDER, provider: 'groq' })
    expect(fault({ ...ENV, ...groq, GROQ_API_KEY: 'k' })).toContain(
      'PER_CALL_SERVICES: groq is already the name of a provider.',
    )
  })

  test('all faults at once', () => {
    const message = fault({ ...ENV, ADMIN_TOKEN: 'short', GEMINI_BASE_URL: 'x', PROVIDERS: '{}' })
    for (const name of ['ADMIN_TOKEN', 'GEMINI_BASE_URL', 'PROVIDERS']) expect(message).toContain(`${name}: `)
  })
})

test.each(['402', '403', '429', 402])('CAP_STATUS may be %j', (CAP_STATUS) => {
  expect(parsed({ CAP_STATUS }).CAP_STATUS).toBe(Number(CAP_STATUS))
})

test('a number may be one, as in wrangler.toml', () => {
  expect(parsed({ HOLD_TTL_SECONDS: 60 }).HOLD_TTL_SECONDS).toBe(60)
})

test.each([
  ['openai/gpt-4o', 'MODELS: is not valid JSON'],
  ['{"a":1}', 'MODELS: must be a list'],
  ['[7]', 'MODELS.0: must be a text'],
  ['["gpt-4o"]', 'MODELS.0: must be provider/model'],
  ['["openai/"]', 'MODELS.0: must be provider/model'],
  ['["/gpt-4o"]', 'MODELS.0: must be provider/model'],
  [`["openai/${'m'.repeat(194)}"]`, 'MODELS.0: must have at most 200 characters'],
  ['["openai/a","openai/b","openai/a"]', 'MODELS: must not name a model twice'],
  ['["openai/a","gorq/b"]', 'MODELS.1: must begin with one of openai, groq, '],
  ['["anthropic/claude-haiku-4-5"]', 'MODELS.0: must begin with one of openai, groq, '],
])('what is no list of models for /v1 is refused: %s', (MODELS, message) => {
  expect(fault({ ...ENV, MODELS })).toContain(message)
})

test('models may be listed of every provider of /v1, also of one that is not switched on', () => {
  const MODELS = ['openai/a', 'groq/b/c', 'acme/d']
  const PROVIDERS = '[{"name":"acme","base_url":"https://api.acme.example/v1"}]'
  expect(parsed({ MODELS: JSON.stringify(MODELS), PROVIDERS }).MODELS).toEqual(MODELS)
  expect(parsed().MODELS).toEqual([])
})

test('the password of a database that is not Neon’s goes to no host that merely begins with api', () => {
  const bindings = { USAGE_LEDGER: {}, PRICES: {} }
  const open = (more: object) => () => parseWorkerConfig({ ...ENV, ...bindings, ...more })
  const DATABASE_URL = 'postgresql://tollgate:secret@gate.duckdns.org/tollgate'
  expect(open({ DATABASE_URL })).toThrow(/DATABASE_HTTP_URL: is required/)
  expect(open({ DATABASE_URL, DATABASE_HTTP_URL: 'https://gate.duckdns.org/sql' })).not.toThrow()
  expect(
    open({ DATABASE_URL: 'postgresql://u:p@ep-a-pooler.c-2.eu-central-1.aws.neon.tech/db?sslmode=require' }),
  ).not.toThrow()
})
