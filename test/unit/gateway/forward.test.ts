// The handler that forwards a call, before a provider on this machine: what its client gets where the ledger cannot be told.

import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Hono } from 'hono'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import type { LedgerOf, LedgerRpc } from '../../../durable-objects/ledger/types.ts'
import type { Config } from '../../../src/config.ts'
import type { Call, GatewayEnv } from '../../../src/gateway/call.ts'
import { forward } from '../../../src/gateway/forward.ts'
import type { CallEnd, Hold } from '../../../src/middleware/hold.ts'
import { NO_USAGE, PLAIN_BOUND, UNREAD } from '../../../src/providers/answer.ts'
import { createBedrock } from '../../../src/providers/bedrock.ts'
import { compatibleProviders } from '../../../src/providers/compatible/configured.ts'
import type { Dialect, Metered, Operation } from '../../../src/providers/dialect.ts'
import { openai } from '../../../src/providers/openai.ts'
import { openAICompatible } from '../../../src/providers/openai-compatible.ts'
import { amount, DRAFT } from '../../support/ledger-fixtures.ts'
import { PRICE } from '../pricing/fixtures.ts'
import { soon } from './soon.ts'

const SECRET = '{"answer":"that nobody has paid for"}'

let provider: Server
let base_url: string
let headers: Record<string, string>
let respond: RequestListener
let concluded: Metered['concluded']
let ledgerOf: LedgerOf
let ends: CallEnd[]

beforeEach(async () => {
  ends = []
  headers = {}
  concluded = []
  ledgerOf = () => expect.unreachable('nothing was concluded')
  respond = (_, answer) => {
    answer
      .writeHead(200, { 'content-type': 'application/json', 'content-length': SECRET.length, ...headers })
      .end(SECRET)
  }
  provider = createServer((request, answer) => respond(request, answer))
  await new Promise<void>((resolve) => provider.listen(0, '127.0.0.1', resolve))
  base_url = `http://127.0.0.1:${(provider.address() as AddressInfo).port}`
})
afterEach(() => {
  vi.useRealTimers()
  vi.restoreAllMocks()
  provider.close()
})

const bound = { ...PLAIN_BOUND, model: 'm', stream: false, input_tokens: 5, output: null }
const CALL: Call = {
  started_at: 0,
  target: '/v1/chat/completions',
  asked: {} as Call['asked'],
  bytes: new TextEncoder().encode('{}'),
  json: null,
  headers: [],
  bound,
  price: PRICE,
  are_prices_known: true,
  output_defaults: { default_max_output_tokens: null, model_max_output_tokens: null },
  quote: { requests: 1, input_tokens: 5, input_cost_nano_usd: 10_000, output: null },
  draft: DRAFT,
  credential: 'sk-provider',
}

/** A call whose ledger does or does not hear of its end. */
function send(
  isRecorded: boolean,
  dialect: Dialect = openai,
  brings_own_key = false,
  signal: AbortSignal | null = null,
): Promise<Response> {
  const hold: Hold = {
    admission: {
      admitted: true,
      granted_output_tokens: null,
      clamped: false,
      tightest: null,
      hold: amount({ requests: 1, input_tokens: 5 }),
      reserved_at: 0,
      epoch: 0,
    },
    report: () => undefined,
    mayGoOn: async () => true,
    async settle(end) {
      ends.push(await end)
      return isRecorded
    },
  }
  const usage = { ...NO_USAGE, input_tokens: 3 }
  const operation: Operation = {
    ...(openai.operations.find(({ name }) => name === 'embeddings') ?? expect.unreachable()),
    meter: () => () => ({
      push: () => undefined,
      end: () => ({ ...UNREAD, complete: true, may_hide_output: false, usage, concluded }),
    }),
  }
  const app = new Hono<GatewayEnv>()
  app.use(async (c, next) => {
    c.set('request_id', 'request-1')
    c.set('caller', { brings_own_key } as GatewayEnv['Variables']['caller'])
    c.set('call', { ...CALL })
    c.set('hold', hold)
    await next()
  })
  app.post(
    '*',
    forward({
      dialect,
      operation,
      config: { FIRST_BYTE_TIMEOUT_SECONDS: 60, IDLE_TIMEOUT_SECONDS: 60 } as Config,
      upstream: { base_url, credential: undefined },
      ledgerOf,
      prices: { find: async () => PRICE },
      errorAnswer: dialect.errorResponse,
    }),
  )
  return Promise.resolve(app.request('/v1/chat/completions', { method: 'POST', body: '{}', signal }))
}

test.each([
  ['that is kept until it is whole', 401, { 'content-type': 'application/json', 'content-length': 31 }],
  ['that is passed on in pieces', 500, { 'content-type': 'text/plain' }],
])('an error %s does not show the operator’s key, and shows the caller its own', async (_, status, headers) => {
  // It ends as the key begins.
  respond = (request, answer) => {
    answer.writeHead(status, headers).end(`"no such: ${request.headers.authorization}" s`)
  }
  const shown = async (answer: Response) => [answer.status, await answer.text()]
  expect(await shown(await send(true))).toEqual([status, '"no such: Bearer ***********" s'])
  expect(await shown(await send(true, openai, true))).toEqual([status, '"no such: Bearer sk-provider" s'])
})

test.each([200, 307, 401])('nor do the headers of any answer, such as a %i', async (status) => {
  headers = { 'www-authenticate': 'Bearer error="no such: sk-provider"', 'x-debug': 'sk-provider' }
  respond = (_, answer) => answer.writeHead(status, headers).end()
  const shown = ({ headers }: Response) => [headers.get('www-authenticate'), headers.get('x-debug')]
  expect(shown(await send(true))).toEqual(['Bearer error="no such: ***********"', '***********'])
  expect(shown(await send(true, openai, true))).toEqual(Object.values(headers))
})

test.each(['application/json', 'text/plain'])('an answer that is no error is passed on as it is: %s', async (type) => {
  const said = JSON.stringify({ content: 'A key looks like sk-provider.' })
  respond = (_, answer) => void answer.writeHead(200, { 'content-type': type, 'content-length': said.length }).end(said)
  expect(await (await send(true)).text()).toBe(said)
})

test('a short answer is passed on once its call is on record', async () => {
  const answer = await send(true)
  expect([answer.status, await answer.text()]).toEqual([200, SECRET])
  expect(ends).toMatchObject([{ outcome: 'settled', usage: { input_tokens: 3 } }])
})

test('an answer has its provider’s headers, but none that tell of the operator’s account or of its host', async () => {
  headers = {
    'x-request-id': 'req_1',
    'openai-organization': 'org-of-the-operator',
    'openai-project': 'project-of-the-operator',
    'anthropic-organization-id': 'org-of-the-operator',
    'set-cookie': 'account=of-the-operator',
    'access-control-allow-origin': 'https://of-the-operator.example',
    'alt-svc': 'h3="of-the-operator.example:443"',
    'strict-transport-security': 'max-age=1; of-the-operator',
    nel: '{"report_to":"of-the-operator","max_age":604800}',
    'report-to': '{"group":"of-the-operator","max_age":604800,"endpoints":[{"url":"https://provider.example"}]}',
    'reporting-endpoints': 'default="https://of-the-operator.example"',
    'clear-site-data': '"*", "of-the-operator"',
  }
  const seen = Object.fromEntries((await send(true)).headers)
  expect(seen).toMatchObject({ 'x-request-id': 'req_1', 'content-type': 'application/json' })
  expect(JSON.stringify(seen)).not.toContain('of-the-operator')
})

test('a short answer whose call cannot be recorded is withheld, and not asked for again: it has been billed', async () => {
  const answer = await send(false)
  expect(answer.status).toBe(503)
  expect(answer.headers.get('x-should-retry')).toBe('false')
  expect(await answer.json()).toMatchObject({ error: { message: expect.stringContaining('withheld') } })
})

test.each([
  ['bedrock', createBedrock({ region: 'us-east-1' }), 501] as const,
  ...compatibleProviders
    .parse({ OPENROUTER_API_KEY: 'sk' })
    .map((row) => [row.name, openAICompatible(row), 424] as const),
])('nor by SDKs that ask again at a 503 whatever its headers say: %s', async (_, dialect, status) => {
  const answer = await send(false, dialect)
  expect([answer.status, answer.headers.get('x-should-retry')]).toEqual([status, 'false'])
  expect(await answer.text()).toContain('withheld')
})

test('a call that never reached its provider is released, with the error that its client sees', async () => {
  vi.spyOn(console, 'warn').mockImplementation(() => undefined)
  provider.close()
  const answer = await send(true)
  expect(ends).toMatchObject([
    { outcome: 'released', usage: null, facts: { status: answer.status, error_class: 'upstream_unreachable' } },
  ])
})

test.each([
  ['whose provider does not answer', null, 0],
  ['of whose short answer only a part comes', { 'content-type': 'application/json', 'content-length': '31' }, 0],
  ['whose stream begins 20 s later, and then is silent', { 'content-type': 'text/event-stream' }, 20_000],
])(
  'a call %s is given up 25 s after its client has left: at 30 s the platform ends it',
  async (_, begins, after_ms) => {
    vi.useFakeTimers()
    vi.spyOn(console, 'warn').mockImplementation(() => undefined)
    vi.spyOn(globalThis, 'fetch').mockImplementation(async (_, init) => {
      const ended = new Promise<never>((_, reject) => {
        init?.signal?.addEventListener('abort', () => reject(new Error('aborted')))
      })
      if (begins === null) return ended
      await new Promise((resolve) => setTimeout(resolve, after_ms))
      return new Response(new ReadableStream({ pull: () => ended }), { headers: begins })
    })
    const client = new AbortController()
    void send(true, openai, false, client.signal)
    await vi.advanceTimersByTimeAsync(0)
    client.abort()
    await vi.advanceTimersByTimeAsync(24_999)
    expect(ends).toEqual([])
    await vi.advanceTimersByTimeAsync(1)
    expect(ends).toMatchObject([{ outcome: 'settled', facts: { error_class: 'client_gone' } }])
    expect(vi.getTimerCount()).toBe(0)
  },
)

test('an answer without a body (204) is passed on as it is', async () => {
  respond = (_, answer) => void answer.writeHead(204).end()
  const answer = await send(true)
  expect([answer.status, await answer.text()]).toEqual([204, ''])
  expect(ends).toMatchObject([{ outcome: 'settled', usage: { input_tokens: 3 }, facts: { error_class: null } }])
})

test('of a provider’s request id an event keeps 200 characters', async () => {
  headers = { 'x-request-id': 'r'.repeat(300) }
  await send(true)
  expect(ends).toMatchObject([{ facts: { provider_request_id: 'r'.repeat(200) } }])
})

describe('an answer that tells how another call ended', () => {
  const told = { id: 'resp_1', usage: NO_USAGE, longest_input_tokens: null, model: 'm' }
  let concluding: PromiseWithResolvers<void>
  let conclude: ReturnType<typeof vi.fn>
  beforeEach(() => {
    concluded = [{ ...told, service_tier: null, error_class: null }]
    concluding = Promise.withResolvers()
    conclude = vi.fn(() => concluding.promise)
    ledgerOf = () => ({ requestModels: async () => ['m'], conclude }) as unknown as LedgerRpc
  })

  test('has its end only when the ledger knows', async () => {
    headers = { 'content-type': 'text/event-stream' }
    const text = (await send(true)).text()
    const first = await Promise.race([text, vi.waitUntil(() => conclude.mock.calls.length > 0, 30_000)])
    expect(first).toBe(true)
    expect(await soon(text)).toBe('nothing yet')
    concluding.resolve()
    expect(await text).toContain(SECRET)
  })

  test('is not believed where it breaks off: it may not tell all', async () => {
    respond = (_, answer) => {
      answer.writeHead(200, { 'content-type': 'application/json', 'content-length': 100 })
      answer.write('{', () => answer.destroy())
    }
    expect((await send(true)).status).toBe(502)
    expect(conclude).not.toHaveBeenCalled()
  })

  test.each(['application/json', 'text/plain'])('is not believed where it is an error: %s', async (type) => {
    respond = (_, answer) =>
      void answer.writeHead(400, { 'content-type': type, 'content-length': SECRET.length }).end(SECRET)
    expect(await (await send(true)).text()).toBe(SECRET)
    expect(conclude).not.toHaveBeenCalled()
  })
})
