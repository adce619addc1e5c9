import { describe, expect, test } from 'vitest'
import { compatibleProviders } from '../../../../src/providers/compatible/configured.ts'
import { KNOWN_PROVIDERS } from '../../../../src/providers/compatible/table.ts'

const ACME = { name: 'acme', base_url: 'https://api.acme.example/v1' }
const read = (env: object) => compatibleProviders.parse(env)
const faults = (env: object) =>
  (compatibleProviders.safeParse(env).error?.issues ?? []).map(({ path, message }) => `${path.join('.')}: ${message}`)
const entries = (...list: object[]) => ({ PROVIDERS: JSON.stringify(list) })

describe('which providers a deployment has', () => {
  test('none without variables', () => {
    expect(read({})).toEqual([])
    expect(read({ OPENAI_API_KEY: 'sk' })).toEqual([])
  })

  test('a known one by its key alone, with its own base URL and quirks', () => {
    expect(read({ DEEPSEEK_API_KEY: 'sk-1' })).toMatchObject([
      {
        name: 'deepseek',
        base_url: 'https://api.deepseek.com/v1',
        credential: 'sk-1',
        quirks: { output_field: 'max_tokens', no_stream_options: false },
      },
    ])
  })

  test('a known one by its base URL alone: callers bring their keys', () => {
    const [groq] = read({ GROQ_BASE_URL: 'https://eu.groq.example/openai/v1/' })
    expect(groq).toMatchObject({ base_url: 'https://eu.groq.example/openai/v1', credential: undefined })
  })

  test('all known ones, each with a base URL of its own or a demand for one', () => {
    const env = Object.fromEntries(
      KNOWN_PROVIDERS.map(({ name }) => [`${name.toUpperCase().replace('-', '_')}_API_KEY`, 'sk']),
    )
    expect(faults(env)).toEqual(['AZURE_BASE_URL: is required', 'WORKERS_AI_BASE_URL: is required'])
    const urls = {
      AZURE_BASE_URL: 'https://x.openai.azure.com/openai/v1',
      WORKERS_AI_BASE_URL: 'https://cf.example/ai/v1',
    }
    expect(read({ ...env, ...urls }).map(({ name }) => name)).toEqual(KNOWN_PROVIDERS.map(({ name }) => name))
  })

  test('any other one as an entry, its key in a binding of its own', () => {
    expect(read({ ...entries(ACME), ACME_API_KEY: 'sk-1' })).toMatchObject([{ ...ACME, credential: 'sk-1' }])
    expect(read({ ...entries({ ...ACME, api_key_binding: 'SHARED' }), SHARED: 'sk-2' })).toMatchObject([
      { ...ACME, credential: 'sk-2' },
    ])
    expect(read({ PROVIDERS: [ACME] })).toMatchObject([{ ...ACME, credential: undefined }])
  })

  test('an entry whose address stands in its variable, too', () => {
    const env = { ...entries(ACME), ACME_BASE_URL: `${ACME.base_url}/` }
    expect(read(env)).toMatchObject([ACME])
  })

  test('an entry by a known name goes on top of what is known', () => {
    const [mistral, ...others] = read({
      ...entries({ name: 'mistral', quirks: { preamble_tokens: 9 }, max_output_tokens: 32_000 }),
      MISTRAL_API_KEY: 'sk',
    })
    expect(others).toEqual([])
    expect(mistral).toMatchObject({
      base_url: 'https://api.mistral.ai/v1',
      credential: 'sk',
      max_output_tokens: 32_000,
    })
    expect(mistral?.quirks).toMatchObject({ preamble_tokens: 9, no_stream_options: true })
  })
})

describe('what is wrong is named, and no secret is', () => {
  test.each<[object, string]>([
    [{ PROVIDERS: 'acme' }, 'PROVIDERS: must be a JSON array'],
    [{ PROVIDERS: '{}' }, 'PROVIDERS: must be a JSON array'],
    [{ PROVIDERS: '["acme"]' }, 'PROVIDERS.0: must be an object'],
    [entries({ base_url: ACME.base_url }), 'PROVIDERS.0.name: must be a string'],
    [entries({ name: 'acme' }), 'PROVIDERS.0.base_url: is required'],
    [entries(ACME, ACME), 'PROVIDERS.1.name: is taken'],
    [entries({ ...ACME, name: 'admin' }), 'PROVIDERS.0.name: is the name of another route'],
    [entries({ ...ACME, name: 'v1' }), 'PROVIDERS.0.name: is the name of another route'],
    [entries({ ...ACME, name: 'google-places' }), 'PROVIDERS.0.name: is the name of another route'],
    [entries({ ...ACME, name: 'a/b' }), 'PROVIDERS.0.name: must be'],
    [entries({ ...ACME, name: 'Acme' }), 'PROVIDERS.0.name: must be'],
    [entries({ ...ACME, base_url: 'ftp://acme.example' }), 'PROVIDERS.0.base_url: must be an http:// or https:// URL'],
    [entries({ ...ACME, base_url: 'https://me:pw@acme.example' }), 'PROVIDERS.0.base_url: must have no credentials'],
    [entries({ ...ACME, base_url: 'https://acme.example/?to=evil' }), 'PROVIDERS.0.base_url: must have no'],
    [entries({ ...ACME, api_key: 'sk-secret' }), 'PROVIDERS.0.api_key: must not stand here'],
    [entries({ ...ACME, api_key_binding: 'ADMIN_TOKEN' }), 'PROVIDERS.0.api_key_binding: must not be a secret'],
    [entries({ ...ACME, api_key_binding: 'MISSING' }), 'PROVIDERS.0.api_key_binding: names MISSING'],
    [entries({ ...ACME, operations: ['files'] }), 'PROVIDERS.0.operations.0: '],
    [entries({ ...ACME, forwarded_headers: ['authorization'] }), 'PROVIDERS.0.forwarded_headers.0: must not'],
    [entries({ ...ACME, forwarded_headers: ['X-Forwarded-For'] }), 'PROVIDERS.0.forwarded_headers.0: must not'],
    [entries({ ...ACME, forwarded_headers: ['x-*'] }), 'PROVIDERS.0.forwarded_headers.0: must be'],
    [entries({ ...ACME, quirks: { output_field: 'max' } }), 'PROVIDERS.0.quirks.output_field: '],
    [entries({ ...ACME, quirks: { no_such: true } }), 'PROVIDERS.0.quirks: '],
    [entries({ ...ACME, quirks: 'none' }), 'PROVIDERS.0.quirks: '],
    [entries({ ...ACME, max_tokens: 3 }), 'PROVIDERS.0: '],
    [{ ...entries({ name: 'acme' }), ACME_BASE_URL: 'acme' }, 'ACME_BASE_URL: must be an http:// or https:// URL'],
    [{ ...entries({ name: 'groq' }), GROQ_BASE_URL: 'groq' }, 'GROQ_BASE_URL: must be an http:// or https:// URL'],
    [{ ...entries({ name: 'groq', max_tokens: 3 }), GROQ_BASE_URL: 'https://groq.example' }, 'PROVIDERS.0: '],
    [{ ...entries(ACME), ACME_BASE_URL: 'https://other.example' }, 'PROVIDERS.0.base_url: must not stand here'],
    [{ ...entries({ name: 'groq', quirks: null }) }, 'PROVIDERS.0.quirks: must be an object'],
    [{ GROQ_API_KEY: 'sk-secret', GROQ_BASE_URL: 'groq' }, 'GROQ_BASE_URL: must be an http:// or https:// URL'],
  ])('%j', (env, said) => {
    const found = faults(env)
    expect(found.join('\n')).toContain(said)
    expect(found.join('\n')).not.toContain('sk-secret')
  })
})
