import { describe, expect, test } from 'vitest'
import { ERROR_STATUS, type ErrorCode, type GatewayError } from '../../../src/errors.ts'
import { isSigned } from '../../../src/local/fake-sigv4.ts'
import { bedrockUpstream } from '../../../src/providers/bedrock.ts'
import { createFrameReader, type Frame } from '../../../src/providers/eventstream.ts'
import { bedrock } from './bedrock-vectors.ts'

const render = (error: GatewayError, cap_status?: number) => bedrock.errorResponse(error, 'req_1', cap_status)
const KEYS = { id: 'AKIAEXAMPLE', secret: 'se/cret+of' }

describe('refusals', () => {
  test.each<[ErrorCode, number, string]>([
    ['cap_exceeded', 400, 'ServiceQuotaExceededException'],
    ['unauthenticated', 403, 'AccessDeniedException'],
    ['forbidden', 403, 'AccessDeniedException'],
    ['invalid_request', 400, 'ValidationException'],
    ['unpriced_model', 400, 'ValidationException'],
    ['not_found', 404, 'ResourceNotFoundException'],
    ['payload_too_large', 413, 'ValidationException'],
    ['upstream_timeout', 408, 'ModelTimeoutException'],
    ['upstream_unreachable', 424, 'ModelErrorException'],
    ['ledger_unavailable', 503, 'ServiceUnavailableException'],
    ['internal_error', 501, 'InternalServerException'],
  ])('%s is %i %s', async (code, status, type) => {
    const response = render({ code, message: 'No.', field: 'f' })
    expect(response.status).toBe(status)
    expect(response.headers.get('x-amzn-errortype')).toBe(type)
    expect(response.headers.get('x-amzn-requestid')).toBe('req_1')
    expect(await response.json()).toEqual({ message: 'No.', code, field: 'f' })
  })

  test('AWS’s SDKs repeat only what was never forwarded and may be mended by a moment', () => {
    const repeated = (Object.keys(ERROR_STATUS) as ErrorCode[]).filter((code) =>
      [429, 500, 502, 503, 504].includes(render({ code, message: 'No.' }).status),
    )
    expect(repeated.sort()).toEqual([
      'cap_busy',
      'database_unavailable',
      'keys_unavailable',
      'ledger_unavailable',
      'not_yet_in_force',
      'prices_unavailable',
    ])
  })

  test('within a stream are exceptions that its SDK throws', () => {
    const typeOf = (code: ErrorCode) => {
      const frames: Frame[] = []
      createFrameReader((frame) => frames.push(frame)).push(bedrock.streamError({ code, message: 'No.' }, 'req_1'))
      return frames[0]?.headers[':exception-type']
    }
    expect(typeOf('upstream_timeout')).toBe('modelStreamErrorException')
    expect(typeOf('forbidden')).toBe('validationException')
  })
})

describe('credentials', () => {
  test('of the gateway: an API key before SigV4 keys, from configuration', () => {
    const AWS = { AWS_ACCESS_KEY_ID: 'AKIA1', AWS_SECRET_ACCESS_KEY: 's' }
    const region = { BEDROCK_REGION: 'eu-west-1' }
    expect(bedrockUpstream(region)).toEqual({
      base_url: 'https://bedrock-runtime.eu-west-1.amazonaws.com',
      credential: undefined,
    })
    expect(bedrockUpstream({ ...region, ...AWS }).credential).toBe('AKIA1:s')
    expect(bedrockUpstream({ ...region, ...AWS, AWS_SESSION_TOKEN: 't' }).credential).toBe('AKIA1:s:t')
    expect(bedrockUpstream({ ...region, ...AWS, BEDROCK_API_KEY: 'k' }).credential).toBe('k')
    expect(bedrockUpstream({ ...region, BEDROCK_BASE_URL: 'http://x' }).base_url).toBe('http://x')
  })

  test('an API key is a bearer token, and its request is not signed', async () => {
    const headers = new Headers({ authorization: 'Bearer tg_1' })
    bedrock.setCredential(headers, 'bedrock-api-key-1')
    expect(headers.get('authorization')).toBe('Bearer bedrock-api-key-1')
    const request = new Request('https://bedrock.example/model/a/converse', { method: 'POST', headers, body: '{}' })
    expect(await bedrock.sign?.(request, 'bedrock-api-key-1')).toBe(request)
  })

  test.each([
    ['us.anthropic.claude-haiku-4-5-20251001-v1%3A0'],
    ['arn%3Aaws%3Abedrock%3Aus-east-1%3A1%3Ainference-profile%2Fus.anthropic.claude-x-v1%3A0'],
    ['amazon.nova-lite-v1:0'],
  ])('SigV4 keys sign the raw path of %s, AWS’s headers, the session and the body', async (id) => {
    const url = `https://bedrock-runtime.us-east-1.amazonaws.com/model/${id}/converse?a=b%20c`
    const headers = new Headers({
      authorization: 'Bearer tg_1',
      'content-type': 'application/json',
      'accept-encoding': 'identity',
      'x-amzn-bedrock-trace': 'ENABLED',
    })
    const credential = `${KEYS.id}:${KEYS.secret}:the-session`
    bedrock.setCredential(headers, credential)
    const body = '{"messages":[]}'
    const signed = await bedrock.sign?.(new Request(url, { method: 'POST', headers, body }), credential)
    if (!signed) throw new Error('not signed')

    expect(signed.url).toBe(url)
    expect(signed.redirect).toBe('manual')
    expect(await signed.clone().text()).toBe(body)
    expect(signed.headers.get('x-amz-security-token')).toBe('the-session')
    const { pathname, search } = new URL(url)
    const received = (headers: object = {}, text = body) => ({
      method: 'POST',
      url: pathname + search,
      headers: { ...Object.fromEntries(signed.headers), host: 'bedrock-runtime.us-east-1.amazonaws.com', ...headers },
      body: new TextEncoder().encode(text),
    })
    expect(isSigned(received(), KEYS, 'bedrock')).toBe(true)
    // The platform may change these on the way.
    expect(isSigned(received({ 'accept-encoding': 'gzip', 'cf-ray': '1' }), KEYS, 'bedrock')).toBe(true)
    expect(isSigned(received({}, '{"messages":[1]}'), KEYS, 'bedrock')).toBe(false)
    expect(isSigned(received({ 'x-amzn-bedrock-trace': 'DISABLED' }), KEYS, 'bedrock')).toBe(false)
    expect(isSigned(received(), { ...KEYS, secret: 'x' }, 'bedrock')).toBe(false)
  })

  test('of the client: a bearer token; a signature is none', () => {
    const read = (authorization: string) => bedrock.readCredential(new Headers({ authorization }), 'https://x.example')
    expect(read('Bearer tg_1')).toBe('tg_1')
    expect(
      read('AWS4-HMAC-SHA256 Credential=AKIA/1/us-east-1/bedrock/aws4_request, SignedHeaders=host, Signature=0'),
    ).toBeNull()
  })

  test('no header of the client’s that signs, chooses an account or is not known is forwarded', () => {
    const matches = (name: string) =>
      bedrock.forwarded_headers.some((pattern) =>
        pattern.endsWith('*') ? name.startsWith(pattern.slice(0, -1)) : pattern === name,
      )
    for (const name of [
      'authorization',
      'x-amz-date',
      'x-amz-security-token',
      'x-amz-content-sha256',
      'host',
      'cookie',
      // Such headers choose tiers, guardrails and latency, so one that is not known may cost anything.
      'x-amzn-bedrock-of-tomorrow',
    ])
      expect(matches(name)).toBe(false)
    for (const name of [
      'accept',
      'guardrailidentifier',
      'guardrailversion',
      'performanceconfig-latency',
      'request-metadata',
      'service-tier',
      'trace',
    ])
      expect(matches(`x-amzn-bedrock-${name}`)).toBe(true)
  })
})

test.each([
  ['us.anthropic.claude-3-haiku-20240307-v1:0', 4_096],
  ['anthropic.claude-sonnet-4-5-20250929-v1:0', 64_000],
  ['global.anthropic.claude-opus-4-6-v1', 128_000],
  ['amazon.nova-lite-v1:0', 10_000],
  ['acme.new-v1', null],
])('knows that %s answers at most %s', (model, most) => {
  expect(bedrock.maxOutputTokens(model)).toBe(most)
})
