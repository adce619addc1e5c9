// What every dialect promises, and how each says no.

import { describe, expect, test } from 'vitest'
import { ERROR_STATUS, type ErrorCode, type GatewayError } from '../../../src/errors.ts'
import { isObject } from '../../../src/providers/answer.ts'
import { anthropic } from '../../../src/providers/anthropic.ts'
import { createBedrock } from '../../../src/providers/bedrock.ts'
import { OPERATIONS, providerSchema } from '../../../src/providers/compatible/provider.ts'
import type { Dialect, JsonObject } from '../../../src/providers/dialect.ts'
import { gemini } from '../../../src/providers/gemini.ts'
import { googlePlaces } from '../../../src/providers/google-places.ts'
import { openai } from '../../../src/providers/openai.ts'
import { openAICompatible } from '../../../src/providers/openai-compatible.ts'
import { type PerCallConfig, perCallDialect, perCallServiceSchema } from '../../../src/providers/per-call.ts'
import { askedWith, headOf } from './replay.ts'

const CAP: GatewayError = {
  code: 'cap_exceeded',
  message: 'The daily cost cap is used up.',
  cap: {
    cap_type: 'daily',
    limit_type: 'cost',
    unit: 'cents',
    current_usage: 99,
    in_flight: 0,
    limit: 100,
    requested: 3,
    reset_time: '2025-01-01T00:00:00.000Z',
    retry_after_seconds: 40_000,
  },
}
const ANY_URL = 'https://tollgate.example/'
const CODES = Object.keys(ERROR_STATUS) as ErrorCode[]
const ODD_BODIES: JsonObject[] = [
  {},
  { model: 1, messages: {}, input: {}, prompt: 3, requests: [null], contents: 'x' },
  { model: 'm', max_tokens: -1, messages: [null], input: [[]], requests: [{ params: [] }], contents: [{ parts: 7 }] },
]
const MESSAGES = [
  { role: 'user', content: [{ type: 'text', text: 'x' }] },
  { role: 'user', content: [{ type: 'tool_addition', tool: { type: 'tool_reference' } }] },
]
const BODIES: JsonObject[] = [
  { model: 'm', max_tokens: 9, messages: MESSAGES, tools: [{ type: 'function' }], service_tier: 'auto' },
  { model: 'm', max_tokens: 9, messages: MESSAGES, tools: [{ type: 'custom' }] },
  { model: 'm', input: [{ type: 'message', role: 'user', content: [{ type: 'input_text', text: 'x' }] }] },
  {
    messages: MESSAGES,
    serviceTier: { type: 'default' },
    performanceConfig: { latency: 'standard' },
    additionalModelRequestFields: { thinking: { budget_tokens: 1 } },
  },
  {
    contents: [{ role: 'user', parts: [{ text: 'x' }, { fileData: { mimeType: 'image/png', fileUri: 'x' } }] }],
    generationConfig: { responseModalities: ['TEXT'], thinkingConfig: { thinkingBudget: 1 } },
    serviceTier: 'standard',
  },
]
/** The value with one of all that it holds replaced, in every way. */
function withOne(replaced: unknown, value: unknown): unknown[] {
  if (typeof value !== 'object' || value === null) return [replaced]
  const members = Object.entries(value).flatMap(([name, member]) =>
    withOne(replaced, member).map((other) =>
      Array.isArray(value) ? value.with(Number(name), other) : { ...value, [name]: other },
    ),
  )
  return [replaced, ...members]
}
const ODD_ANSWERS = [
  '',
  '{',
  'null',
  '{"usage":"much","usageMetadata":[]}',
  'data: {"usage":{"prompt_tokens":-1}}\n\n',
  '\0\xff\xff\xff',
  // Of an object with this name no text can be made.
  '{"candidates":[{"groundingMetadata":{"webSearchQueries":[{"toString":1}]}}]}',
  '{"object":"response","status":"completed","usage":{"input_tokens":0,"output_tokens":0},"output":[{"type":"web_search_call","action":{"type":{"toString":1}}}]}',
  'data: {"type":{"toString":1},"response":{}}\n\n',
  'data: {"type":"content_block_start","content_block":{"type":{"toString":1}}}\n\n',
].map((text) => new TextEncoder().encode(text))
const render = (dialect: Dialect, error: GatewayError, cap_status?: number) =>
  dialect.errorResponse(error, 'req_1', cap_status)

describe('openai', () => {
  test('refuses an exceeded cap as insufficient_quota, once, with the facts of the cap', async () => {
    const response = render(openai, CAP)
    expect(response.status).toBe(429)
    expect(response.headers.get('x-should-retry')).toBe('false')
    expect(response.headers.get('retry-after')).toBeNull()
    expect(response.headers.get('x-request-id')).toBe('req_1')
    expect(await response.json()).toEqual({
      error: {
        message: CAP.message,
        type: 'insufficient_quota',
        param: null,
        code: 'insufficient_quota',
        cap: CAP.cap,
      },
    })
  })

  test('refuses a wrong key and a wrong field as OpenAI does', async () => {
    const key = render(openai, { code: 'unauthenticated', message: 'No.' })
    expect(key.status).toBe(401)
    expect(await key.json()).toEqual({
      error: { message: 'No.', type: 'invalid_request_error', param: null, code: 'invalid_api_key' },
    })
    const field = render(openai, { code: 'invalid_request', message: 'No.', field: 'n' })
    expect(field.status).toBe(400)
    expect(await field.json()).toMatchObject({ error: { type: 'invalid_request_error', param: 'n' } })
    expect(await render(openai, { code: 'upstream_timeout', message: 'No.' }).json()).toMatchObject({
      error: { type: 'server_error', code: 'upstream_timeout' },
    })
  })

  test('ends a stream with an error that its SDK throws', () => {
    const text = new TextDecoder().decode(openai.streamError({ code: 'upstream_timeout', message: 'Silent.' }, 'req_1'))
    expect(text).toMatch(/^\n\ndata: \{"error":\{"message":"Silent\."[^\n]*\}\}\n\n$/)
  })

  test('reads and sets its credential', () => {
    const read = (authorization: string) => openai.readCredential(new Headers({ authorization }), ANY_URL)
    expect(read('Bearer sk-1')).toBe('sk-1')
    expect(read('bearer  sk-1 ')).toBe('sk-1')
    expect(read('Basic sk-1')).toBeNull()
    expect(read('Bearer sk-1, Bearer sk-2')).toBe('sk-1, Bearer sk-2')
    expect(openai.readCredential(new Headers(), ANY_URL)).toBeNull()
    const headers = new Headers({ authorization: 'Bearer tg_1' })
    openai.setCredential(headers, 'sk-2')
    expect(headers.get('authorization')).toBe('Bearer sk-2')
  })

  test.each([
    ['gpt-4o-mini', 16_384],
    ['gpt-4o-2024-05-13', 4_096],
    ['gpt-4.1-nano-2025-04-14', 32_768],
    ['o3-mini', 100_000],
    ['o1-mini', 65_536],
    ['gpt-5', 128_000],
    ['gpt-5-chat-latest', 16_384],
    ['ft:gpt-4o-mini:us::1', null],
    ['anything-new', null],
  ])('knows that %s answers at most %s', (model, most) => {
    expect(openai.maxOutputTokens(model)).toBe(most)
  })
})

describe('gemini', () => {
  test.each([
    [40_000, '40000s'],
    [null, '315576000000s'],
  ])('says in Google’s own details that a cap is shut for %s seconds', async (retry_after_seconds, retryDelay) => {
    const { cap } = CAP
    const response = render(gemini, { ...CAP, ...(cap && { cap: { ...cap, retry_after_seconds } }) })
    expect(await response.json()).toMatchObject({
      error: { details: [{ '@type': 'type.googleapis.com/google.rpc.RetryInfo', retryDelay }] },
    })
  })
})

describe('anthropic', () => {
  test('refuses an exceeded cap as a billing_error, once, with the facts of the cap', async () => {
    const response = render(anthropic, CAP)
    expect(response.status).toBe(402)
    expect(response.headers.get('x-should-retry')).toBe('false')
    expect(response.headers.get('request-id')).toBe('req_1')
    expect(await response.json()).toEqual({
      type: 'error',
      error: { type: 'billing_error', message: CAP.message, code: 'cap_exceeded', cap: CAP.cap },
      request_id: 'req_1',
    })
  })

  test.each([
    ['unauthenticated', 401, 'authentication_error'],
    ['forbidden', 403, 'permission_error'],
    ['invalid_request', 400, 'invalid_request_error'],
    ['not_found', 404, 'not_found_error'],
    ['payload_too_large', 413, 'request_too_large'],
    ['upstream_unreachable', 502, 'api_error'],
  ] as const)('says %s as %i %s', async (code, status, type) => {
    const response = render(anthropic, { code, message: 'No.', field: 'f' })
    expect(response.status).toBe(status)
    expect(await response.json()).toMatchObject({ type: 'error', error: { type, field: 'f' }, request_id: 'req_1' })
  })

  test('ends a stream with an error that its SDK throws', () => {
    const text = new TextDecoder().decode(
      anthropic.streamError({ code: 'upstream_timeout', message: 'Silent.' }, 'req_1'),
    )
    expect(text).toMatch(
      /^\n\nevent: error\ndata: \{"type":"error","error":\{"type":"api_error","message":"Silent\."[^\n]*\}\n\n$/,
    )
  })

  test('reads and sets its credential, and leaves no other behind', () => {
    expect(anthropic.readCredential(new Headers({ 'x-api-key': 'a', authorization: 'Bearer b' }), ANY_URL)).toBe('a')
    expect(anthropic.readCredential(new Headers({ authorization: 'Bearer b' }), ANY_URL)).toBe('b')
    expect(anthropic.readCredential(new Headers(), ANY_URL)).toBeNull()
    const headers = new Headers({ authorization: 'Bearer tg_1' })
    anthropic.setCredential(headers, 'sk-ant-api-1')
    expect([...headers]).toEqual([['x-api-key', 'sk-ant-api-1']])
    anthropic.setCredential(headers, 'sk-ant-oat01-1')
    expect(headers.get('authorization')).toBe('Bearer sk-ant-oat01-1')
    expect(headers.get('x-api-key')).toBeNull()
  })

  test.each([
    [null, 'oauth-2025-04-20'],
    ['files-api-2025-04-14', 'files-api-2025-04-14, oauth-2025-04-20'],
    ['oauth-2025-04-20,files-api-2025-04-14', 'oauth-2025-04-20,files-api-2025-04-14'],
  ])('an OAuth token goes with the beta without which Anthropic refuses it, beside %s', (sent, expected) => {
    const betasWith = (credential: string) => {
      const headers = new Headers(sent === null ? {} : { 'anthropic-beta': sent })
      anthropic.setCredential(headers, credential)
      return headers.get('anthropic-beta')
    }
    expect([betasWith('sk-ant-oat01-1'), betasWith('sk-ant-api-1')]).toEqual([expected, sent])
  })
})

const ACME = { name: 'acme', base_url: 'https://api.acme.example/v1', operations: [...OPERATIONS] }
const FINDER: PerCallConfig = {
  provider: 'finder',
  base_url: 'https://finder.example',
  credential_header: 'x-finder-key',
  credential_query: 'token',
  routes: [
    { name: 'find', method: 'GET', path: '/v1/find/:id', usd_per_request: 0.005 },
    { name: 'upload', method: 'POST', path: '/v1/find', usd_per_request: 1, takes: 'form' },
  ],
}

describe.each([
  openai,
  anthropic,
  createBedrock({ region: 'us-east-1' }),
  gemini,
  googlePlaces,
  perCallDialect(perCallServiceSchema.parse(FINDER)),
  openAICompatible(providerSchema.parse(ACME)),
])('$provider', (dialect) => {
  test('says of every refusal what it is, under the request’s id', async () => {
    for (const code of CODES) {
      const response = render(dialect, { code, message: 'Not so.', field: 'a.b' })
      expect(response.status, code).toBeGreaterThanOrEqual(400)
      expect(response.headers.get(dialect.request_id_header), code).toBe('req_1')
      expect(response.headers.get('cache-control'), code).toBe('no-store')
      const text = await response.text()
      expect(text, code).toContain('Not so.')
      expect(text, code).toContain('a.b')
    }
  })

  test('tells with a 401, as HTTP demands, what credential it takes', () => {
    for (const code of CODES) {
      const { status, headers } = render(dialect, { code, message: 'No.' })
      expect(headers.get('www-authenticate'), code).toBe(status === 401 ? 'Bearer' : null)
    }
    // AWS has no 401.
    const status = dialect.provider === 'bedrock' ? 403 : 401
    expect(render(dialect, { code: 'unauthenticated', message: 'No.' }).status).toBe(status)
    expect(dialect.readCredential(new Headers({ authorization: 'Bearer tg_1' }), ANY_URL)).toBe('tg_1')
  })

  test('lets no SDK repeat what may have been billed or is vain', () => {
    const retryable = CODES.filter(
      (code) => render(dialect, { code, message: 'No.' }).headers.get('x-should-retry') !== 'false',
    )
    expect(retryable.sort()).toEqual([
      'cap_busy',
      'database_unavailable',
      'keys_unavailable',
      'ledger_unavailable',
      'not_yet_in_force',
      'prices_unavailable',
    ])
  })

  test.each([402, 403, 429])('refuses an exceeded cap with %i where the operator chose it', async (status) => {
    const response = render(dialect, CAP, status)
    expect(response.status).toBe(status)
    expect(response.headers.get('x-should-retry')).toBe('false')
    const body = (await response.json()) as { error: object }
    // AWS's exceptions are flat.
    expect(dialect.provider === 'bedrock' ? body : body.error).toMatchObject({ cap: CAP.cap })
  })

  test.each([undefined, 402])(
    'asks to try a busy cap again soon, whatever status exceeded ones have: %s',
    async (status) => {
      const busy: GatewayError = {
        ...CAP,
        code: 'cap_busy',
        ...(CAP.cap && { cap: { ...CAP.cap, retry_after_seconds: 10 } }),
      }
      const response = render(dialect, busy, status)
      expect(response.status).toBe(429)
      expect(response.headers.get('x-should-retry')).toBeNull()
      expect(response.headers.get('retry-after')).toBe('10')
      const said = `${response.headers.get('x-amzn-errortype')} ${await response.text()}`
      expect(said).toMatch(
        /"rate_limit_exceeded"|"rate_limit_error"|^ThrottlingException|"RESOURCE_EXHAUSTED"|"cap_busy"/,
      )
    },
  )

  test('tells how long to wait only where no client hangs on it', () => {
    const waiting = (retry_after_seconds: number | null) =>
      render(dialect, { ...CAP, ...(CAP.cap && { cap: { ...CAP.cap, retry_after_seconds } }) }).headers.get(
        'retry-after',
      )
    expect([waiting(60), waiting(61), waiting(null)]).toEqual(['60', null, null])
  })

  test('ends a stream with an error that says why, apart from what was cut before it', () => {
    for (const { streamError = dialect.streamError } of dialect.operations) {
      const text = new TextDecoder().decode(streamError({ code: 'upstream_timeout', message: 'Silent.' }, 'req_1'))
      expect(text).toContain('Silent.')
      // A frame says its own length; an event needs an end of line.
      if (dialect.provider !== 'bedrock') expect([text.slice(0, 2), text.slice(-2)]).toEqual(['\n\n', '\n\n'])
    }
  })

  test('puts its credential where it is read, over the client’s', () => {
    const headers = new Headers()
    dialect.setCredential(headers, 'tg_of-the-client')
    dialect.setCredential(headers, 'of-the-gateway')
    expect(dialect.readCredential(headers, ANY_URL)).toBe('of-the-gateway')
    expect(JSON.stringify([...headers])).not.toContain('tg_')
    expect(dialect.readCredential(new Headers(), ANY_URL)).toBeNull()
  })

  test('forwards no cookie, host, address, or choice of the operator’s account', () => {
    const all = dialect.forwarded_headers.join(' ')
    expect(all).not.toMatch(/cookie|host|forwarded|authorization|api-key|organization|project|workspace|tollgate/)
  })

  test('has distinct operations, and free ones use nothing', () => {
    expect(new Set(dialect.operations.map(({ name }) => name)).size).toBe(dialect.operations.length)
    expect(new Set(dialect.operations.map(({ method, path }) => `${method} ${path}`)).size).toBe(
      dialect.operations.length,
    )
    for (const operation of dialect.operations.filter(({ readBound }) => readBound === null)) {
      expect(operation.edits).toBeUndefined()
      expect(operation.meter(askedWith({}))(headOf('json')).end()).toMatchObject({ usage: null, complete: true })
    }
  })

  test('reads a bound or a refusal, never an exception, from whatever is sent', () => {
    // Of an object with this name no text can be made.
    const bodies = BODIES.flatMap((body) => withOne({ toString: 1 }, body).filter(isObject))
    for (const { readBound } of dialect.operations) {
      for (const body of [...ODD_BODIES, ...bodies]) {
        const read = readBound?.(askedWith(body, { params: { model: 'm', id: 'i' } }))
        if (!read) continue
        if ('code' in read) expect(CODES).toContain(read.code)
        else expect(read.input_tokens).toBeGreaterThanOrEqual(0)
      }
    }
  })

  test('a meter throws at nothing, and makes up no tokens', () => {
    for (const operation of dialect.operations) {
      for (const format of ['json', 'sse', 'eventstream', 'other'] as const) {
        for (const bytes of ODD_ANSWERS) {
          const meter = operation.meter(askedWith({}))(headOf(format))
          meter.push(bytes)
          const { usage } = meter.end()
          expect(usage?.input_tokens ?? 0, operation.name).toBe(0)
          expect(usage?.output_tokens ?? 0, operation.name).toBe(0)
        }
      }
    }
  })
})
