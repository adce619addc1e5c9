// Verifies AWS's Signature Version 4 as AWS would, from the request as it came. Written from the specification and not
// with the library that signs. https://docs.aws.amazon.com/IAM/latest/UserGuide/create-signed-request.html

import { createHash, createHmac } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'

export interface SignedRequest {
  method: string
  /** As it came: path and query. */
  url: string
  headers: IncomingHttpHeaders
  body: Uint8Array
}

const AUTHORIZATION =
  /^AWS4-HMAC-SHA256 Credential=([^/]+)\/(\d{8})\/([^/]+)\/([^/]+)\/aws4_request, SignedHeaders=([^,]+), Signature=([0-9a-f]{64})$/

const sha256 = (data: string | Uint8Array) => createHash('sha256').update(data).digest('hex')
const hmac = (key: string | Uint8Array, data: string) => createHmac('sha256', key).update(data).digest()
const encode = (text: string) =>
  encodeURIComponent(text).replace(/[!'()*]/g, (one) => `%${one.charCodeAt(0).toString(16).toUpperCase()}`)

/** True where the signature is by this key, for this service, and covers the host and every header of AWS's own. */
export function isSigned(request: SignedRequest, keys: { id: string; secret: string }, service: string): boolean {
  const { method, headers, body } = request
  const [, id, date = '', region = '', named, signed = '', signature] =
    AUTHORIZATION.exec(headers.authorization ?? '') ?? []
  if (id !== keys.id || named !== service) return false
  const names = signed.split(';')
  const mustBeSigned = ['host', ...Object.keys(headers).filter((name) => name.startsWith('x-amz-'))]
  if (mustBeSigned.some((name) => !names.includes(name))) return false

  const url = new URL(request.url, 'http://fake')
  const query = [...url.searchParams].map(([name, value]) => `${encode(name)}=${encode(value)}`).sort()
  const canonical = [
    method,
    // Encoded once more than it was sent: https://docs.aws.amazon.com/general/latest/gr/create-signed-request.html
    url.pathname.split('/').map(encode).join('/'),
    query.join('&'),
    ...names.map((name) => `${name}:${String(headers[name] ?? '').trim()}`),
    '',
    signed,
    sha256(body),
  ].join('\n')
  const scope = `${date}/${region}/${service}/aws4_request`
  const text = ['AWS4-HMAC-SHA256', headers['x-amz-date'], scope, sha256(canonical)].join('\n')
  const key = hmac(hmac(hmac(hmac(`AWS4${keys.secret}`, date), region), service), 'aws4_request')
  return hmac(key, text).toString('hex') === signature
}
