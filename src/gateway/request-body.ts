// Reads a request's body within its limit, and refuses what could not be metered.

import { encodingFault, mediaTypeOf } from '../body-type.ts'
import type { GatewayError } from '../errors.ts'
import { concatBytes } from '../providers/bytes.ts'
import type { Operation } from '../providers/dialect.ts'

const MAX_BODY_BYTES = 20 * 1024 * 1024

/** How much of a too large body is read and dropped, because a client that is still sending does not read the answer. */
const MAX_DISCARDED_BYTES = 80 * 1024 * 1024

const CONTENT_TYPES = { json: 'application/json', form: 'multipart/form-data' }

/** The body's bytes, at most `MAX_BODY_BYTES`, or why not. Keeps no more than the limit in memory. */
export async function readBody(
  request: Request,
  { takes = 'json', assumes_json = false }: Pick<Operation, 'takes' | 'assumes_json'> = {},
): Promise<Uint8Array | GatewayError> {
  const expected = CONTENT_TYPES[takes]
  const type = mediaTypeOf(request.headers) ?? (assumes_json ? CONTENT_TYPES.json : undefined)
  if (type !== expected) {
    const message = `The content type must be ${expected}, ${type ? `not ${type}` : 'but there is none'}.`
    return { code: 'unsupported_media_type', message, field: 'content-type' }
  }
  const fault = encodingFault(request.headers)
  if (fault) return fault
  try {
    return await readWhole(request)
  } catch {
    // The client went away: nobody will read this, and it is no fault of Tollgate's to be logged.
    return { code: 'invalid_request', message: 'The request body ended early.' }
  }
}

async function readWhole(request: Request): Promise<Uint8Array | GatewayError> {
  const announced = Number(request.headers.get('content-length') ?? Number.NaN)
  if (announced <= MAX_BODY_BYTES) return new Uint8Array(await request.arrayBuffer())
  return readWithin(request.body, announced > MAX_BODY_BYTES ? 0 : MAX_BODY_BYTES)
}

/** Reads and drops what nobody has read, because a client that is still sending does not read the answer. */
export async function discardBody(request: Request): Promise<void> {
  if (request.body === null || request.bodyUsed || request.body.locked) return
  await readWithin(request.body, 0).catch(() => undefined)
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
    if (length <= limit) chunks.push(chunk)
    else chunks.length = 0
    if (length > limit + MAX_DISCARDED_BYTES) break
  }
  return length > limit ? tooLarge : concatBytes(chunks)
}
