import { describe, expect, test } from 'vitest'
import { readGatewayCredential } from '../../../src/auth/credential.ts'
import { readBearer, withQuery } from '../../../src/providers/bearer.ts'

const KEY = `tg_${'A'.repeat(71)}`
const OTHER = `tg_${'B'.repeat(71)}`
const JWT = 'eyJh.eyJz.c2ln'
const readApiKey = (headers: Headers) => headers.get('x-api-key') ?? readBearer(headers)
const read = (...headers: [string, string][]) =>
  readGatewayCredential({ headers: new Headers(headers), url: 'https://tollgate.example/' }, readApiKey)

describe('readGatewayCredential', () => {
  test('takes a key or a JWT from where the client puts its API key', () => {
    expect(read(['authorization', `Bearer ${KEY}`])).toEqual({ kind: 'key', value: KEY, brings_own_key: false })
    expect(read(['x-api-key', KEY])).toEqual({ kind: 'key', value: KEY, brings_own_key: false })
    expect(read(['authorization', `bearer ${JWT}`])).toEqual({ kind: 'jwt', value: JWT, brings_own_key: false })
  })

  test('x-tollgate-key leaves the provider header to the provider', () => {
    for (const own of ['sk-proj-123', JWT, 'sk-tg_1'])
      expect(read(['x-tollgate-key', KEY], ['authorization', `Bearer ${own}`])).toMatchObject({
        value: KEY,
        brings_own_key: true,
      })
    expect(read(['x-tollgate-key', JWT], ['x-api-key', 'sk-ant-1'])).toMatchObject({
      kind: 'jwt',
      brings_own_key: true,
    })
    expect(read(['x-tollgate-key', KEY])).toMatchObject({ brings_own_key: false })
    expect(read(['x-tollgate-key', KEY], ['x-api-key', ''])).toMatchObject({ brings_own_key: false })
  })

  test('a Tollgate key is never taken for a provider key', () => {
    expect(read(['x-tollgate-key', KEY], ['x-api-key', KEY])).toMatchObject({ value: KEY, brings_own_key: false })
    expect(read(['x-tollgate-key', KEY], ['x-api-key', OTHER])).toMatchObject({ code: 'invalid_header' })
    // As `docker run --env-file` hands on what stands in quotes.
    for (const value of [`"${KEY}"`, `'${OTHER}'`, `key=${OTHER}`, `Bearer:${OTHER}`])
      expect(read(['x-tollgate-key', KEY], ['x-api-key', value])).toMatchObject({ code: 'invalid_header' })
    expect(read(['x-tollgate-key', KEY], ['x-api-key', `eyJh.eyJz.${OTHER}`])).toMatchObject({ brings_own_key: true })
  })

  test('two different credentials for the gateway are refused, wherever they are', () => {
    for (const header of ['authorization', 'x-goog-api-key', 'api-key'])
      for (const value of [OTHER, `Bearer ${OTHER}`, JWT, `Bearer  ${JWT}`, `bearer ${JWT}`])
        expect(read(['x-api-key', KEY], [header, value])).toMatchObject({ code: 'invalid_header' })
    const headers = new Headers({ authorization: `Bearer ${KEY}`, 'x-api-key': OTHER })
    expect(readGatewayCredential({ headers, url: 'https://t.example/' }, readBearer)).toMatchObject({
      code: 'invalid_header',
    })
    expect(read(['x-api-key', KEY], ['authorization', `Bearer ${KEY}`])).toMatchObject({ value: KEY })
    expect(read(['x-api-key', KEY], ['authorization', 'Bearer sk-123'])).toMatchObject({ value: KEY })
  })

  test('a Tollgate key in a query is never taken for a provider key', () => {
    const google = (own: string, inQuery: string) =>
      readGatewayCredential(
        { headers: new Headers({ 'x-tollgate-key': own }), url: `https://t.example/?key=${inQuery}` },
        (headers, url) => withQuery(headers.get('x-goog-api-key'), url, 'key'),
      )
    expect(google(KEY, OTHER)).toMatchObject({ code: 'invalid_header' })
    expect(google(KEY, 'AIza')).toMatchObject({ value: KEY, brings_own_key: true })
  })

  test('duplicated headers are refused', () => {
    expect(read(['x-tollgate-key', KEY], ['x-tollgate-key', KEY])).toMatchObject({
      code: 'invalid_header',
      field: 'x-tollgate-key',
    })
    expect(read(['x-api-key', KEY], ['x-api-key', OTHER])).toMatchObject({ code: 'invalid_header' })
    expect(read(['authorization', `Bearer ${KEY}`], ['authorization', `Bearer ${KEY}`])).toMatchObject({
      code: 'invalid_header',
    })
    for (const value of [`Bearer ${KEY}, Bearer ${OTHER}`, `Bearer sk-123, Bearer ${OTHER}`, `Bearer sk-123,${OTHER}`])
      expect(read(['x-api-key', KEY], ['authorization', value])).toMatchObject({ code: 'invalid_header' })
  })

  test('a key without its scheme is told what it lacks', () => {
    const said = { code: 'unauthenticated', message: expect.stringContaining('"Bearer "') }
    expect(
      readGatewayCredential({ headers: new Headers({ authorization: KEY }), url: 'https://t.example/' }, readBearer),
    ).toMatchObject(said)
  })

  test('anything else is unauthenticated', () => {
    expect(read()).toMatchObject({ code: 'unauthenticated' })
    for (const value of ['sk-123', 'a.b', 'a.b.', 'a.b.c.d', 'TG_AAAA', 'Basic dXNlcjpwYXNz'])
      expect([value, read(['x-api-key', value])]).toMatchObject([value, { code: 'unauthenticated' }])
    expect(read(['authorization', 'Basic dXNlcjpwYXNz'])).toMatchObject({ code: 'unauthenticated' })
    expect(read(['x-tollgate-key', ''], ['x-api-key', KEY])).toMatchObject({ code: 'unauthenticated' })
  })
})
