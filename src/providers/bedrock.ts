// AWS Bedrock's runtime API as Tollgate knows it: which operations it can meter, how a call is signed, and how AWS's SDKs
// expect to be refused. No I/O; a signature reads the clock.

import { AwsClient } from 'aws4fetch'
import { ERROR_STATUS, factsOf, type GatewayError, isRefusal } from '../errors.ts'
import { changeEnd } from './answer.ts'
import { readBearer } from './bearer.ts'
import { conversesAudio, editConverse, readConverseBound } from './bedrock-converse.ts'
import { editInvoke, invokesAudio, readInvokeBound } from './bedrock-invoke.ts'
import { meterInvoke } from './bedrock-invoke-meter.ts'
import { meterConverse } from './bedrock-meter.ts'
import { type BedrockModel, readModelId } from './bedrock-model.ts'
import { dearestTier, isUnpriced, LATENCY_HEADER, TIER_HEADER, tierOfHeaders } from './bedrock-tier.ts'
import type { Asked, Bound, Dialect, Metered, OpenMeter, Operation, Upstream } from './dialect.ts'
import { exceptionFrame, wholeFrames } from './eventstream.ts'
import { isRetryable, refusal, unmetered } from './refusals.ts'

/** Guardrails are billed by the text that they read. */
const GUARDRAIL_HEADER = 'x-amzn-bedrock-guardrailidentifier'
/** Those of InvokeModel. What another one would cost is not known. */
const INVOKE_HEADERS = [
  TIER_HEADER,
  LATENCY_HEADER,
  GUARDRAIL_HEADER,
  'x-amzn-bedrock-guardrailversion',
  'x-amzn-bedrock-accept',
  'x-amzn-bedrock-request-metadata',
  'x-amzn-bedrock-trace',
]

type Reader = (asked: Asked, model: BedrockModel) => Bound | GatewayError

const readBound =
  (stream: boolean, read: Reader): NonNullable<Operation['readBound']> =>
  (asked) => {
    const model = readModelId(asked.params.model ?? '')
    if (isRefusal(model)) return model
    const bound = read(asked, model)
    return isRefusal(bound) ? bound : { ...bound, stream }
  }

/** The model of a call whose bound has been read. */
function modelOf({ params }: Asked): BedrockModel {
  const model = readModelId(params.model ?? '')
  return isRefusal(model) ? { id: '', family: null, is_prompt: false } : model
}

const readInvoke: Reader = ({ body, bytes, headers }, model) => {
  const bound = readInvokeBound(body, bytes, model)
  if (isRefusal(bound)) return bound
  const tier = tierOfHeaders(headers)
  const guarded = headers.has(GUARDRAIL_HEADER) ? GUARDRAIL_HEADER : null
  const unpriced = isUnpriced(...tier) ? LATENCY_HEADER : null
  return { ...bound, service_tier: dearestTier(...tier), unbounded: bound.unbounded ?? guarded ?? unpriced }
}
const readConverse: Reader = ({ body, bytes, headers }, model) => {
  const bound = readConverseBound(body, bytes, model)
  if (isRefusal(bound)) return bound
  // Converse has these in its body: what the headers would mean there is not known.
  const odd = [GUARDRAIL_HEADER, TIER_HEADER, LATENCY_HEADER].find((name) => headers.has(name)) ?? null
  return { ...bound, unbounded: bound.unbounded ?? odd }
}

/** Where audio is sent and the usage does not say how much of the input it was, all of it counts as audio. */
function atAudio(sends: boolean, open: OpenMeter): OpenMeter {
  const change = ({ usage, ...rest }: Metered): Metered => ({
    ...rest,
    usage: usage && { ...usage, audio_input_tokens: usage.audio_input_tokens || usage.input_tokens },
  })
  return sends ? (head) => changeEnd(open(head), change) : open
}

/**
 * AWS's SDKs retry when a connection breaks within JSON, as if no answer had begun: so it is `kept_whole`. boto3 sends no
 * content type unless its caller names one, and AWS documents `application/json` as the default: so it is assumed.
 */
const invoke = {
  method: 'POST',
  assumes_json: true,
  kept_whole: true,
  edits: (asked, granted_output_tokens) => editInvoke(asked.body, granted_output_tokens, modelOf(asked)),
  meter: (asked) => atAudio(invokesAudio(asked.body, modelOf(asked)), meterInvoke(asked, modelOf(asked))),
} satisfies Partial<Operation>
const converse = {
  method: 'POST',
  kept_whole: true,
  edits: ({ body }, granted_output_tokens) => editConverse(body, granted_output_tokens),
  meter: ({ body }) => atAudio(conversesAudio(body), meterConverse(body)),
} satisfies Partial<Operation>

const operations: Operation[] = [
  { ...invoke, name: 'invoke_model', path: '/model/:model/invoke', readBound: readBound(false, readInvoke) },
  {
    ...invoke,
    name: 'invoke_model_stream',
    path: '/model/:model/invoke-with-response-stream',
    readBound: readBound(true, readInvoke),
    filter: wholeFrames,
  },
  { ...converse, name: 'converse', path: '/model/:model/converse', readBound: readBound(false, readConverse) },
  {
    ...converse,
    name: 'converse_stream',
    path: '/model/:model/converse-stream',
    readBound: readBound(true, readConverse),
    filter: wholeFrames,
  },
  {
    // Free: https://docs.aws.amazon.com/bedrock/latest/userguide/count-tokens.html
    ...unmetered('count_tokens', '/model/:model/count-tokens', 'POST'),
    kept_whole: true,
    refuse({ params }) {
      const model = readModelId(params.model ?? '')
      return isRefusal(model) ? model : null
    },
  },
]

export interface BedrockOptions {
  /** What SigV4 signatures are made for, and where the endpoint is unless a base URL says otherwise. */
  region: string
}

/**
 * @example
 * ```ts
 * const bedrock = createBedrock({ region: 'eu-central-1' })
 * app.route('/bedrock', gateway({ ...services, dialect: bedrock, upstream: bedrockUpstream(config) }))
 * ```
 */
export function createBedrock({ region }: BedrockOptions): Dialect {
  return {
    provider: 'bedrock',
    operations,
    request_id_header: 'x-amzn-requestid',
    forwarded_headers: ['content-type', 'accept', 'user-agent', 'amz-sdk-*', 'x-amz-user-agent', ...INVOKE_HEADERS],
    own_key_headers: [],
    // A client's own SigV4 signature is no credential here: it covers the gateway's host, so the provider would refuse it.
    readCredential: readBearer,
    encoded_slashes: true,
    setCredential(headers, credential) {
      if (readAwsKeys(credential)) headers.delete('authorization')
      else headers.set('authorization', `Bearer ${credential}`)
    },
    sign: (request, credential) => sign(request, credential, region),
    errorResponse(error, request_id, cap_status = 400) {
      const { type, status } = refusalOf(error, cap_status)
      const body = { message: error.message, code: error.code, ...factsOf(error) }
      return refusal(error, status, body, { 'x-amzn-requestid': request_id, 'x-amzn-errortype': type })
    },
    streamError(error) {
      const isRefused = ERROR_STATUS[error.code] < 500
      return exceptionFrame(isRefused ? 'validationException' : 'modelStreamErrorException', error.message)
    },
    maxOutputTokens: (model) => MAX_OUTPUT_TOKENS.find(([family]) => family.test(model))?.[1] ?? null,
  }
}

/** The most tokens that known models answer with. First match wins. */
const MAX_OUTPUT_TOKENS: [RegExp, number][] = [
  [/anthropic\.claude-3-(opus|sonnet|haiku)/, 4_096],
  [/anthropic\.claude-3-5/, 8_192],
  [/anthropic\.claude-opus-4-(\d{8}|1)/, 32_000],
  [/anthropic\.claude-(sonnet-4-(\d{8}|5)|haiku-4-5|opus-4-5)/, 64_000],
  [/anthropic\.claude-(3-7|opus-4-6|sonnet-4-6)/, 128_000],
  [/amazon\.nova-(micro|lite|pro)-/, 10_000],
  [/amazon\.nova-premier-/, 32_000],
  [/amazon\.titan-text-(express|lite)/, 8_192],
  [/meta\.llama3-/, 8_192],
  [/mistral\.mistral-7b/, 8_192],
]

export interface BedrockConfig {
  BEDROCK_REGION: string
  BEDROCK_BASE_URL?: string | undefined
  BEDROCK_API_KEY?: string | undefined
  AWS_ACCESS_KEY_ID?: string | undefined
  AWS_SECRET_ACCESS_KEY?: string | undefined
  AWS_SESSION_TOKEN?: string | undefined
}

/** Where Bedrock is, and the gateway's own credential there: an API key before SigV4 credentials. */
export function bedrockUpstream(config: BedrockConfig): Upstream {
  const { AWS_ACCESS_KEY_ID: id, AWS_SECRET_ACCESS_KEY: secret, AWS_SESSION_TOKEN: token } = config
  const keys = id && secret ? [id, secret, ...(token ? [token] : [])].join(':') : undefined
  return {
    base_url: config.BEDROCK_BASE_URL ?? `https://bedrock-runtime.${config.BEDROCK_REGION}.amazonaws.com`,
    credential: config.BEDROCK_API_KEY ?? keys,
  }
}

interface AwsKeys {
  accessKeyId: string
  secretAccessKey: string
  sessionToken?: string
}

/** `accessKeyId:secretAccessKey[:sessionToken]`; null for an API key, which has no colon. */
function readAwsKeys(credential: string): AwsKeys | null {
  const [accessKeyId, secretAccessKey, sessionToken] = credential.split(':')
  if (!accessKeyId || !secretAccessKey) return null
  return { accessKeyId, secretAccessKey, ...(sessionToken && { sessionToken }) }
}

/** Only AWS's own headers are signed: the platform may change the others on the way. */
async function sign(request: Request, credential: string, region: string): Promise<Request> {
  const keys = readAwsKeys(credential)
  if (!keys) return request
  const body = await request.arrayBuffer()
  const all = [...request.headers]
  const signer = new AwsClient({ ...keys, service: 'bedrock', region })
  const { method, url } = request
  const signed = await signer.sign(url, { method, body, headers: all.filter(([name]) => name.startsWith('x-amz')) })
  const headers = new Headers(all)
  for (const [name, value] of signed.headers) headers.set(name, value)
  // A new request of the same URL: its path stays as the client encoded it.
  return new Request(url, { method, headers, body, redirect: 'manual' })
}

/** AWS's SDKs retry 429, 500, 502, 503 and 504, and no other status; no header stops them. */
const NOT_RETRIED = 501

/** Modeled errors of the runtime API, which its SDKs throw typed. */
function refusalOf(error: GatewayError, cap_status: number): { type: string; status: number } {
  const status = ERROR_STATUS[error.code]
  switch (error.code) {
    case 'cap_exceeded':
      return { type: 'ServiceQuotaExceededException', status: cap_status }
    case 'cap_busy':
      return { type: 'ThrottlingException', status }
    case 'unauthenticated':
    case 'forbidden':
      return { type: 'AccessDeniedException', status: 403 }
    case 'not_found':
      return { type: 'ResourceNotFoundException', status: 404 }
    case 'upstream_timeout':
      return { type: 'ModelTimeoutException', status: 408 }
    case 'upstream_unreachable':
      // AWS's own status for it, which is not retried: the call went upstream and may be billed.
      return { type: 'ModelErrorException', status: 424 }
    default:
      if (status < 500) return { type: 'ValidationException', status: status === 413 ? status : 400 }
      if (isRetryable(error)) return { type: 'ServiceUnavailableException', status: 503 }
      return { type: 'InternalServerException', status: NOT_RETRIED }
  }
}
