// What the headers of a provider's answer say of it, and which of them the client sees. Pure.

import { mediaTypeOf } from '../body-type.ts'
import type { AnswerHead } from '../providers/dialect.ts'

/** https://www.iana.org/assignments/http-parameters; others (`none`, `utf-8`) are no compression, though servers send them. */
const COMPRESSION = /\b(br|compress|dcb|dcz|deflate|gzip|zstd)\b/i

/**
 * Whether an answer is still compressed: `fetch` undoes `gzip` and `br` alone, in lower case. A provider may send another,
 * although none was asked for.
 */
export function isStillCompressed(headers: Headers): boolean {
  const encoding = headers.get('content-encoding') ?? ''
  return COMPRESSION.test(encoding) && encoding !== 'gzip' && encoding !== 'br'
}

export function headOf({ status, headers }: Response): AnswerHead {
  // Nothing in it can be read, and no error event can be put at its end.
  const type = isStillCompressed(headers) ? undefined : mediaTypeOf(headers)
  return { status, headers, format: (type && FORMATS[type]) || 'other' }
}

const FORMATS: Partial<Record<string, AnswerHead['format']>> = {
  'application/json': 'json',
  'text/event-stream': 'sse',
  'application/vnd.amazon.eventstream': 'eventstream',
}

/** Headers of one hop, of the body's length, about the provider's host and caches, and about the operator's account. */
const WITHHELD = [
  'access-control-allow-credentials',
  'access-control-allow-origin',
  'access-control-expose-headers',
  'alt-svc',
  'cdn-cache-control',
  'clear-site-data',
  'cloudflare-cdn-cache-control',
  'connection',
  'content-length',
  'keep-alive',
  'nel',
  'report-to',
  'reporting-endpoints',
  'set-cookie',
  'strict-transport-security',
  'surrogate-control',
  'transfer-encoding',
  'upgrade',
  'openai-organization',
  'openai-project',
  'anthropic-organization-id',
]

/** The provider's headers as the client sees them. */
export function answerHeaders(upstream: Headers): Headers {
  const headers = new Headers(upstream)
  for (const name of WITHHELD) headers.delete(name)
  if (!isStillCompressed(upstream)) headers.delete('content-encoding')
  // What the provider calls public is for those with a key: a shared cache would give it to anybody, uncounted. Of two
  // directives that contradict each other the stricter one holds: https://www.rfc-editor.org/rfc/rfc9111#section-4.2.1
  headers.append('cache-control', 'private')
  return headers
}
