// Reads a request's body within its limit, and refuses what could not be metered.

import type { GatewayError } from '../errors.ts'

export const MAX_BODY_BYTES = 20 * 1024 * 1024

/** The body's bytes, at most `MAX_BODY_BYTES`, or why not. Reads no further than the limit. */
export async function readJsonBytes(request: Request): Promise<Uint8Array | GatewayError> {
  const type = request.headers.get('content-type')?.split(';')[0]?.trim().toLowerCase()
  if (type !== 'application/json') {
    const message = `The content type must be application/json, not ${type ?? 'absent'}.`
    return { code: 'unsupported_media_type', message, field: 'content-type' }
  }
  const encoding = request.headers.get('content-encoding')
  if (encoding && encoding.toLowerCase() !== 'identity') {
    const message = 'The body must not be compressed: it could not be metered.'
    return { code: 'unsupported_media_type', message, field: 'content-encoding' }
  }
  if (Number(request.headers.get('content-length') ?? 0) > MAX_BODY_BYTES) return tooLarge
  return readWithin(request.body, MAX_BODY_BYTES)
}

const tooLarge: GatewayError = {
  code: 'payload_too_large',
  message: `The body must not exceed ${MAX_BODY_BYTES / 1024 / 1024} MiB.`,
}

async function readWithin(
  stream: ReadableStream<Uint8Array> | null,
  limit: number,
): Promise<Uint8Array | GatewayError> {
  if (!stream) return new Uint8Array()
  const chunks: Uint8Array[] = []
  let length = 0
  for await (const chunk of stream) {
    length += chunk.length
    if (length > limit) return tooLarge
    chunks.push(chunk)
  }
  const [only] = chunks
  if (only && chunks.length === 1) return only
  const bytes = new Uint8Array(length)
  let offset = 0
  for (const chunk of chunks) {
    bytes.set(chunk, offset)
    offset += chunk.length
  }
  return bytes
}
