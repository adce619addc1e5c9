// Anthropic messages served by Bedrock, for the models that are mapped so: the call becomes Bedrock's, and its answer
// Anthropic's again. It is metered once, by the Bedrock dialect.
//
//   /anthropic/v1/messages -> /bedrock/model/{id}/invoke(-with-response-stream) -> JSON or events -> JSON or SSE

import { type Context, Hono, type MiddlewareHandler } from 'hono'
import { type GatewayError, isRefusal } from '../errors.ts'
import { accepted, GatewayFault } from '../fault.ts'
import type { CallerIdentity } from '../middleware/authenticate.ts'
import { isObject, parseJsonOrUndefined } from '../providers/answer.ts'
import { anthropic } from '../providers/anthropic.ts'
import { chunkOf } from '../providers/bedrock-invoke-meter.ts'
import { concatBytes } from '../providers/bytes.ts'
import type { Dialect } from '../providers/dialect.ts'
import { createFrameReader } from '../providers/eventstream.ts'
import { readBoolean, textOrNone } from '../providers/fields.ts'
import { type JsonBody, parseJsonBody, spansInBytes } from '../providers/json-body.ts'
import { sseError } from '../providers/sse.ts'
import { urlOf } from '../request-url.ts'
import { answerFault } from './answer-fault.ts'
import { headOf } from './answer-headers.ts'
import type { CallerEnv, GatewayEnv } from './call.ts'
import { innerGateway, innerRequest } from './inner-gateway.ts'
import { readBody } from './request-body.ts'

export interface AnthropicOnBedrockOptions {
  /** Bedrock's ids (or ARNs) by the names that clients call the models. */
  models: Readonly<Record<string, string>>
  /** Who calls is known before a body is read. */
  authenticate: MiddlewareHandler<{ Variables: { caller: CallerIdentity } }>
  /** The gateway of `asAnthropic(bedrock)`. */
  bedrock: Hono<GatewayEnv>
}

/** Bedrock for Anthropic's clients: their credential, and errors as their SDK understands them. */
export function asAnthropic(bedrock: Dialect): Dialect {
  const { readCredential, errorResponse } = anthropic
  return { ...bedrock, readCredential, errorResponse }
}

const VERSION = 'bedrock-2023-05-31'
/** Anthropic's own SDK has no threads in its client for Bedrock. At this error it goes on without them. */
const NO_THREADS: GatewayError = {
  code: 'invalid_request',
  message: 'Bedrock holds no message threads.',
  field: 'thread',
}
/** What Bedrock's path and body say in another way. */
const REPLACED_FIELDS = new Set(['model', 'stream', 'anthropic_version', 'anthropic_beta'])

/**
 * Stands before the gateway of Anthropic; every call that it does not serve goes on to that one: other models, bodies that
 * cannot be read (it says why), and callers with an Anthropic key of their own, who pay for what they call.
 *
 * @example
 * ```ts
 * const bedrock = gateway({ ...services, dialect: asAnthropic(createBedrock({ region })), upstream })
 * app.route('/anthropic', anthropicOnBedrock({ models, authenticate, bedrock }))
 * app.route('/anthropic', gateway({ ...services, dialect: anthropic, upstream: upstream.anthropic }))
 * ```
 */
export function anthropicOnBedrock(options: AnthropicOnBedrockOptions): Hono<CallerEnv> {
  const { models, authenticate } = options
  const idOf = new Map(Object.entries(models))
  const callBedrock = innerGateway('/bedrock', options.bedrock)

  const app = new Hono<CallerEnv>()
  // Caps refuse in Bedrock's own gateway.
  app.onError(answerFault(anthropic.errorResponse))
  app.post('/v1/messages', authenticate, async function anthropicOnBedrock(c, next) {
    const request = c.var.caller.brings_own_key ? null : await readForBedrock(c)
    return request ? toAnthropic(await callBedrock(request, c)) : next()
  })
  return app

  /** The call as Bedrock's; null where Bedrock does not serve it. Its own function, so that nothing of the body is kept. */
  async function readForBedrock(c: Context<CallerEnv>): Promise<Request | null> {
    const { origin } = urlOf(c.req.raw)
    const bytes = accepted(await readBody(c.req.raw))
    const body = parseJsonBody(bytes)
    const model = isRefusal(body) ? undefined : body.value.model
    const id = typeof model === 'string' ? idOf.get(model) : undefined
    if (isRefusal(body) || id === undefined || isRefusal(readBoolean(body.value, 'stream'))) {
      // What was read must be there to be read again.
      c.req.raw = innerRequest(c.req.url, c.req.raw, bytes)
      return null
    }
    if ((body.value.thread ?? null) !== null) throw new GatewayFault(NO_THREADS)
    return toBedrock(c.req.raw, body, origin, id)
  }
}

function toBedrock(request: Request, body: JsonBody, origin: string, id: string): Request {
  const headers = new Headers(request.headers)
  for (const name of [...headers.keys()]) if (/^(anthropic-|x-amz|accept$)/.test(name)) headers.delete(name)
  const betas = (request.headers.get('anthropic-beta') ?? '').split(',').flatMap((beta) => beta.trim() || [])
  const added = { anthropic_version: VERSION, ...(betas.length > 0 && { anthropic_beta: betas }) }
  const encoder = new TextEncoder()
  const members = [...spansInBytes(body)].flatMap(([name, { start, end }]) =>
    REPLACED_FIELDS.has(name)
      ? []
      : [encoder.encode(`${JSON.stringify(name)}:`), body.bytes.subarray(start, end), encoder.encode(',')],
  )
  const bytes = concatBytes([encoder.encode('{'), ...members, encoder.encode(JSON.stringify(added).slice(1))])
  const action = body.value.stream === true ? 'invoke-with-response-stream' : 'invoke'
  return innerRequest(
    `${origin}/bedrock/model/${encodeURIComponent(id)}/${action}`,
    { headers, signal: request.signal },
    bytes,
  )
}

async function toAnthropic(answer: Response): Promise<Response> {
  const headers = new Headers(answer.headers)
  const request_id = headers.get('x-amzn-requestid')
  const exception = headers.get('x-amzn-errortype')
  if (request_id) headers.set('request-id', request_id)
  for (const name of [...headers.keys()]) if (name.startsWith('x-amzn-')) headers.delete(name)
  headers.delete('content-length')
  const { status, body } = answer
  // Tollgate's own refusals are Anthropic's already: they have no error type of AWS's.
  if (status >= 400 && exception !== null) {
    return Response.json(wireError(exception, await answer.text(), request_id), { status, headers })
  }
  if (!body || headOf(answer).format !== 'eventstream') {
    return new Response(body, { status, headers })
  }
  headers.set('content-type', 'text/event-stream; charset=utf-8')
  return new Response(body.pipeThrough(eventsOfFrames(request_id)), { status, headers })
}

/** Anthropic's events out of Bedrock's frames; an exception becomes the error event that ends the stream. */
function eventsOfFrames(request_id: string | null): TransformStream<Uint8Array, Uint8Array> {
  const encoder = new TextEncoder()
  let events: Uint8Array[] = []
  const frames = createFrameReader((frame) => {
    const { headers } = frame
    if (headers[':message-type'] === 'event') {
      const event = chunkOf(frame)
      if (!isObject(event)) return
      const { 'amazon-bedrock-invocationMetrics': _, ...own } = event
      events.push(encoder.encode(`event: ${textOrNone(event.type)}\ndata: ${JSON.stringify(own)}\n\n`))
    } else {
      // An error that is not modeled has its code and message in headers.
      const { ':error-message': message, ':error-code': code = 'internalServerException' } = headers
      const body = message === undefined ? new TextDecoder().decode(frame.body) : JSON.stringify({ message })
      events.push(sseError(wireError(headers[':exception-type'] ?? code, body, request_id), 'error'))
    }
  })
  let isTold = false
  return new TransformStream({
    transform(chunk, controller) {
      frames.push(chunk)
      if (frames.broken && !isTold) {
        isTold = true
        const body = '{"message":"The provider sent something that cannot be read."}'
        events.push(sseError(wireError('internalServerException', body, request_id), 'error'))
      }
      for (const event of events) controller.enqueue(event)
      events = []
    },
  })
}

/** Anthropic's error types, by the AWS exceptions that they stand for. */
const ERROR_TYPES: [RegExp, string][] = [
  [/^validation/i, 'invalid_request_error'],
  [/^(accessDenied|unrecognizedClient|expiredToken)/i, 'permission_error'],
  [/^resourceNotFound/i, 'not_found_error'],
  [/^(throttling|serviceQuotaExceeded)/i, 'rate_limit_error'],
  [/^(serviceUnavailable|modelNotReady)/i, 'overloaded_error'],
  [/^modelTimeout/i, 'timeout_error'],
]

/** @param body of the answer or frame: its message, where it has one, else the exception's name. */
function wireError(exception: string, body: string, request_id: string | null) {
  const type = ERROR_TYPES.find(([pattern]) => pattern.test(exception))?.[1] ?? 'api_error'
  const said = parseJsonOrUndefined(body)
  const message = (isObject(said) && (textOrNone(said.message) || textOrNone(said.Message))) || exception
  return { type: 'error', error: { type, message }, request_id }
}
