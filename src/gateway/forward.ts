// forward and meter: the call goes to the provider, its answer to the client, and what it used is reported to the hold.

import type { Context, Handler } from 'hono'
import type { LedgerOf } from '../../durable-objects/ledger/types.ts'
import { takesCredentialAlong } from '../auth/credential.ts'
import type { Config } from '../config.ts'
import type { GatewayError } from '../errors.ts'
import { keepAlive } from '../middleware/answers.ts'
import type { CallEnd } from '../middleware/hold.ts'
import type { PriceBook } from '../pricing/price-book.ts'
import { announcedLength, MAYBE_BILLED } from '../providers/answer.ts'
import { concatBytes } from '../providers/bytes.ts'
import type { AnswerHead, Dialect, Meter, Operation, StreamFilter, Upstream } from '../providers/dialect.ts'
import { applyEdits } from '../providers/json-body.ts'
import { passWholeEvents } from '../providers/whole-frames.ts'
import { type AnswerEnd, cutError, readAnswer } from './answer.ts'
import { answerHeaders, headOf, isStillCompressed } from './answer-headers.ts'
import { pumpAnswer } from './answer-pump.ts'
import { type GatewayEnv, letGoOfBody } from './call.ts'
import { endOfAnswer, endOfFailure } from './call-end.ts'
import { concludeOthers } from './conclude.ts'
import { hideCredential, hideInHeaders } from './hide-credential.ts'
import { boundToWrite } from './quote.ts'
import { type NoAnswer, type Sent, sendUpstream } from './upstream-answer.ts'
import { type Outgoing, upstreamRequest } from './upstream-request.ts'

/** How long calls may go on at the provider, unless their operation says so. */
const CONTINUES_FOR_MS = 24 * 3_600 * 1_000

const CLAMPED_HEADER = 'tollgate-clamped'

/** The statuses that a `Response` can have. A server may invent another, or switch protocols unasked. */
const canBeAnswered = (status: number) => status >= 200 && status <= 599

/** A JSON answer up to this size is kept until its call is settled. */
const MAX_WHOLE_BYTES = 1_048_576

export interface ForwardOptions {
  dialect: Dialect
  operation: Operation
  config: Config
  upstream: Upstream
  ledgerOf: LedgerOf
  prices: Pick<PriceBook, 'find'>
  /** How an error looks to this dialect's SDK. */
  errorAnswer: (error: GatewayError, requestId: string) => Response
}

export function forward(options: ForwardOptions): Handler<GatewayEnv> {
  const { config } = options
  const limits = {
    first_byte_ms: config.FIRST_BYTE_TIMEOUT_SECONDS * 1_000,
    idle_ms: config.IDLE_TIMEOUT_SECONDS * 1_000,
  }

  return async function forward(c) {
    const { operation } = options
    const { call } = c.var
    const { answering, silence, abort } = sendUpstream(await toRequest(c, options), limits)
    const { signal } = c.req.raw
    if (signal.aborted) silence.clientLeft()
    else signal.addEventListener('abort', silence.clientLeft)
    const openMeter = operation.meter(call.asked)
    const filter = operation.filter?.(call.asked) ?? null
    letGoOfBody(call)
    const answered = await answering
    if (!(answered instanceof Response)) {
      silence.stop()
      return failed(c, options, answered)
    }

    const { body } = answered
    const head = headOf(answered)
    const length = announcedLength(answered)
    // The caller's own key is no secret to the caller.
    const hide = answered.ok || c.var.caller.brings_own_key ? null : hideCredential(call.credential)
    const streams = operation.streams === true && !isStillCompressed(answered.headers)
    const isStream = answered.ok && (head.format === 'sse' || head.format === 'eventstream' || streams)
    const answer = { response: answered, head, length, isStream, meter: openMeter(head), filter, hide, silence, abort }
    const isKept = length <= MAX_WHOLE_BYTES || operation.kept_whole === true
    const isEmpty = body === null || (length === 0 && !isStream)
    if (isEmpty || (head.format === 'json' && isKept)) return passWhole(c, options, answer)
    return passStream(c, options, answer, body)
  }
}

/** The provider's answer, once its headers are here. */
interface Answer extends Pick<Sent, 'silence' | 'abort'> {
  response: Response
  head: AnswerHead
  /** As announced; NaN where it is not known. */
  length: number
  /** Whether an error event can end it. */
  isStream: boolean
  meter: Meter
  /** The operation's own. */
  filter: StreamFilter | null
  /** For errors: hides the gateway's credential. */
  hide: StreamFilter | null
}

/** Short answers: settled before the client has a byte. */
async function passWhole(c: Context<GatewayEnv>, options: ForwardOptions, answer: Answer): Promise<Response> {
  const { response, length, meter, hide, silence } = answer
  const bytes = await readAnswer(response, length, silence)
  silence.stop()
  if (bytes) meter.push(bytes)
  const cut = bytes ? null : (silence.cut ?? 'upstream_cut')
  // Where it was not whole, nobody knows whether a byte came.
  const first_byte_at = bytes?.length ? Date.now() : null
  const end = { metered: meter.end(), cut, client_gone: false, first_byte_at } as const
  const isRecorded = await c.var.hold.settle(toCallEnd(c, options, response, end))
  await concludeOthers(options, c.var, response, end)
  if (cut || !isRecorded) return options.errorAnswer(cutError(isRecorded ? cut : 'not_recorded'), c.var.request_id)
  // A status such as 204 admits not even an empty body.
  const shown = bytes && hide ? concatBytes([hide.push(bytes), hide.end()]) : bytes
  return toClient(c, options, response, response.body && shown)
}

/** Everything else: passed on piece by piece, settled before the last one. */
function passStream(
  c: Context<GatewayEnv>,
  options: ForwardOptions,
  answer: Answer,
  body: ReadableStream<Uint8Array>,
): Response {
  const { response, head, isStream, meter, silence, abort } = answer
  const { dialect, operation } = options
  const { call, hold, request_id } = c.var
  const streamError = operation.streamError ?? dialect.streamError
  const end = Promise.withResolvers<CallEnd>()
  const settled = hold.settle(end.promise)
  const pumped = pumpAnswer(body, {
    signal: c.req.raw.signal,
    meter,
    filter: isStream ? (answer.filter ?? (head.format === 'sse' ? passWholeEvents() : null)) : answer.hide,
    silence,
    abort,
    mayGoOn: hold.mayGoOn,
    errorEvent: isStream ? (cut) => streamError(cutError(cut), request_id, call.asked) : null,
    async settle(how) {
      end.resolve(toCallEnd(c, options, response, how))
      const isRecorded = await settled
      await concludeOthers(options, c.var, response, how)
      return isRecorded
    },
  })
  keepAlive(c, pumped.done)
  return toClient(c, options, response, pumped.body)
}

function toClient(
  c: Context<GatewayEnv>,
  options: ForwardOptions,
  answered: Response,
  body: BodyInit | null,
): Response {
  const { status } = answered
  const { call, caller, hold } = c.var
  const headers = answerHeaders(answered.headers)
  if (!caller.brings_own_key) hideInHeaders(headers, call.credential)
  if (headers.has('location') && takesCredentialAlong(c.req.raw, options.dialect.readCredential))
    headers.delete('location')
  // A retry would pay twice.
  if (status < 200 || MAYBE_BILLED.has(status) || options.operation.billed_statuses?.includes(status)) {
    headers.set('x-should-retry', 'false')
  }
  const { clamped, granted_output_tokens } = hold.admission
  if (clamped) headers.set(CLAMPED_HEADER, `output_tokens=${granted_output_tokens}`)
  return new Response(body, { status: canBeAnswered(status) ? status : 502, headers })
}

async function failed(
  c: Context<GatewayEnv>,
  { errorAnswer }: ForwardOptions,
  { error, error_class, was_sent }: NoAnswer,
): Promise<Response> {
  const { call, hold, request_id } = c.var
  const answer = errorAnswer(error, request_id)
  const failure = { status: answer.status, error_class, was_sent, now: Date.now() }
  await hold.settle(endOfFailure(call, hold.admission, failure))
  return answer
}

async function toRequest(
  c: Context<GatewayEnv>,
  { dialect, operation, upstream }: ForwardOptions,
): Promise<Outgoing | Request> {
  const { call, hold } = c.var
  const bound = boundToWrite(hold.admission, call.bound, call.price, call.output_defaults)
  const edits = operation.edits?.(call.asked, bound) ?? []
  const { url, init } = upstreamRequest(dialect, {
    base_url: upstream.base_url,
    target: call.target,
    method: c.req.method,
    body: call.json ? applyEdits(call.json, edits) : call.bytes,
    headers: call.headers,
    credential: call.credential,
  })
  return dialect.sign ? dialect.sign(new Request(url, init), call.credential) : { url, init }
}

function toCallEnd(
  c: Context<GatewayEnv>,
  { dialect, operation }: ForwardOptions,
  { headers, status }: Response,
  end: AnswerEnd,
): CallEnd {
  const provider_request_id = headers.get(dialect.request_id_header)?.slice(0, 200) ?? null
  const { call, hold } = c.var
  const { continues_for_ms = CONTINUES_FOR_MS } = operation
  return endOfAnswer(call, hold.admission, { status, provider_request_id, end, continues_for_ms, now: Date.now() })
}
