import { describe, expect, test } from 'vitest'
import { ERROR_STATUS, type ErrorCode, type GatewayError } from '../../../src/errors.ts'
import { anthropic } from '../../../src/providers/anthropic.ts'
import type { Dialect } from '../../../src/providers/dialect.ts'
import { openai } from '../../../src/providers/openai.ts'
import { askedWith, headOf } from './replay.ts'

const CAP: GatewayError = {
  code: 'cap_exceeded',
  message: 'The daily cost cap is used up.',
  cap: {
    cap_type: 'daily',
    limit_type: 'cost',
    current_usage: 99,
    limit: 100,
    requested: 3,
    reset_time: '2025-01-01T00:00:00.000Z',
    retry_after_seconds: 40_000,
  },
}
const ANY_URL = 'https://tollgate.example/'
const CODES = Object.keys(ERROR_STATUS) as ErrorCode[]
const render = (dialect: Dialect, error: GatewayError, cap_status: number | null = null) =>
  dialect.errorResponse(error, 'req_1', { cap_status })

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
    expect([...headers]).toEqual([['authorization', 'Bearer sk-ant-oat01-1']])
  })
})

describe.each([openai, anthropic])('$provider', (dialect) => {
  test('lets no SDK repeat what may have been billed or is vain', () => {
    const retryable = CODES.filter(
      (code) => render(dialect, { code, message: 'No.' }).headers.get('x-should-retry') !== 'false',
    )
    expect(retryable.sort()).toEqual(['database_unavailable', 'ledger_unavailable', 'not_yet_in_force'])
  })

  test.each([402, 403, 429])('refuses an exceeded cap with %i where the operator chose it', async (status) => {
    const response = render(dialect, CAP, status)
    expect(response.status).toBe(status)
    expect(response.headers.get('x-should-retry')).toBe('false')
    expect(await response.json()).toMatchObject({ error: { cap: CAP.cap } })
  })

  test('tells how long to wait only where no client hangs on it', () => {
    const waiting = (retry_after_seconds: number | null) =>
      render(dialect, { ...CAP, ...(CAP.cap && { cap: { ...CAP.cap, retry_after_seconds } }) }).headers.get(
        'retry-after',
      )
    expect([waiting(60), waiting(61), waiting(null)]).toEqual(['60', null, null])
  })

  test('forwards no cookie, host, address, or choice of the operator’s account', () => {
    const all = dialect.forwarded_headers.join(' ')
    expect(all).not.toMatch(/cookie|host|forwarded|authorization|api-key|organization|project|workspace|tollgate/)
  })

  test('has distinct operations, and free ones use nothing', () => {
    expect(new Set(dialect.operations.map(({ name }) => name)).size).toBe(dialect.operations.length)
    for (const operation of dialect.operations.filter(({ readBound }) => readBound === null)) {
      expect(operation.edits).toBeUndefined()
      expect(operation.meter(askedWith({}), headOf('json')).end()).toMatchObject({ usage: null, complete: true })
    }
  })
})
