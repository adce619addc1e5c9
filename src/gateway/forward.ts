// forward and meter: the call goes to the provider, its answer to the client, and what it used is reported to the hold.

import type { Context, Handler } from 'hono'
import type { Config } from '../config.ts'
import type { GatewayError } from '../errors.ts'
import type { CallEnd } from '../middleware/usage-caps.ts'
import type { Dialect, Operation } from '../providers/dialect.ts'
import { type AnswerEnd, type Cut, passAnswer } from './answer.ts'
import type { GatewayEnv } from './call.ts'
import { endOfAnswer, endOfFailure, MAYBE_BILLED } from './call-end.ts'
import type { Upstream } from './gateway.ts'
import { applyEdits } from './json-body.ts'
import { boundToWrite } from './quote.ts'
import { type SilenceWatch, watchSilence } from './silence.ts'
import { answerHeaders, upstreamRequest } from './upstream-request.ts'
import { createUsageChunkFilter } from './usage-chunk-filter.ts'

export const CLAMPED_HEADER = 'tollgate-clamped'

const PROBE_TIMEOUT_MS = 2_000

export interface ForwardOptions {
  dialect: Dialect
  operation: Operation
  config: Config
  upstream: Upstream
  /** How an error looks to this dialect's SDK. */
  errorAnswer: (error: GatewayError, requestId: string) => Response
}

export function forward(options: ForwardOptions): Handler<GatewayEnv> {
  const { dialect, operation, config, errorAnswer } = options
  const timeout_ms = config.UPSTREAM_TIMEOUT_SECONDS * 1_000

  return async function forward(c) {
    const { call, hold, request_id } = c.var
    const { granted_output_tokens, clamped } = hold.admission
    const asked = call.body?.value ?? {}
    const edits = operation.edits(
      asked,
      boundToWrite(hold.admission, call.bound, config.DEFAULT_MAX_OUTPUT_TOKENS ?? null),
    )
    const body = call.body && applyEdits(call.body, edits)

    const controller = new AbortController()
    const silence = watchSilence(timeout_ms, () => controller.abort())
    const answered = await fetchAnswer(toRequest(c, options, body), controller.signal, silence)
    if (!(answered instanceof Response)) {
      silence.stop()
      const { error, was_sent } = answered
      const answer = errorAnswer(error, request_id)
      const failure = { status: answer.status, error_class: error.code, was_sent, now: Date.now() }
      hold.report(endOfFailure(call, hold.admission, failure))
      return answer
    }

    const isStream = answered.headers.get('content-type')?.startsWith('text/event-stream') ?? false
    const { body: answer, ended } = passAnswer(answered.body, {
      meter: operation.meter(asked, isStream),
      filter: isStream && answered.ok && operation.dropsUsageChunk(asked) ? createUsageChunkFilter() : null,
      silence,
      abort: () => controller.abort(),
      errorEvent: isStream && answered.ok ? (cut) => dialect.streamError(cutError(cut), request_id) : null,
    })
    hold.report(ended.then((end) => toCallEnd(c, dialect, answered, end)))

    const headers = answerHeaders(answered.headers)
    // The hold is charged: a retry would pay twice.
    if (MAYBE_BILLED.has(answered.status)) headers.set('x-should-retry', 'false')
    if (clamped) headers.set(CLAMPED_HEADER, `output_tokens=${granted_output_tokens}`)
    return new Response(answer, { status: answered.status, headers })
  }
}

function toRequest(c: Context<GatewayEnv>, { dialect, upstream }: ForwardOptions, body: Uint8Array | null): Request {
  const { call, caller } = c.var
  return upstreamRequest(dialect, {
    base_url: upstream.base_url,
    target: call.target,
    method: c.req.method,
    body,
    client_headers: c.req.raw.headers,
    credential: call.credential,
    brings_own_key: caller.brings_own_key,
  })
}

interface NoAnswer {
  error: GatewayError
  /** False only where the connection was never made. */
  was_sent: boolean
}

/** The provider's answer once its headers are here, or what went wrong before. */
async function fetchAnswer(request: Request, signal: AbortSignal, silence: SilenceWatch): Promise<Response | NoAnswer> {
  silence.begin()
  try {
    return await fetch(request, { signal })
  } catch (error) {
    console.warn(JSON.stringify({ message: 'no answer from upstream', error: String(error) }))
    if (silence.broken) {
      const message = 'The provider did not answer in time.'
      return { error: { code: 'upstream_timeout', message }, was_sent: true }
    }
    const message = 'The provider could not be reached.'
    return { error: { code: 'upstream_unreachable', message }, was_sent: await isReachable(request.url) }
  } finally {
    silence.end()
  }
}

/**
 * Runtimes do not say whether a connection was refused or was lost after the request had gone out. A provider that answers
 * now was most likely there before: the call may have been billed.
 */
async function isReachable(url: string): Promise<boolean> {
  const probe = { method: 'HEAD', redirect: 'manual', signal: AbortSignal.timeout(PROBE_TIMEOUT_MS) } as const
  return fetch(new URL('/', url), probe).then(
    () => true,
    () => false,
  )
}

function toCallEnd(c: Context<GatewayEnv>, dialect: Dialect, answered: Response, end: AnswerEnd): CallEnd {
  const provider_request_id = answered.headers.get(dialect.request_id_header)?.slice(0, 200) ?? null
  const { call, hold } = c.var
  return endOfAnswer(call, hold.admission, { status: answered.status, provider_request_id, end, now: Date.now() })
}

/** What a client is told whose stream did not reach its end. */
function cutError(cut: Cut | null): GatewayError {
  return cut === 'upstream_timeout'
    ? { code: 'upstream_timeout', message: 'The provider fell silent, so the stream was ended.' }
    : { code: 'upstream_unreachable', message: 'The provider ended the stream early.' }
}
