// What an OpenAI response can use at most, read from its body, and the edits that keep it there. Pure.
// Shapes: node_modules/openai/resources/responses/responses.d.ts

import { type GatewayError, isRefusal } from '../errors.ts'
import { isObject, objectOrEmpty, PLAIN_BOUND } from './answer.ts'
import { unpricedCache } from './cache-ttl.ts'
import type { Bound, Edit, JsonObject, Operation } from './dialect.ts'
import {
  editBound,
  hasOnly,
  invalidField,
  readArray,
  readBoolean,
  readModel,
  readPositiveInteger,
  unknownField,
} from './fields.ts'
import { responsesStreamError } from './openai-errors.ts'
import { unknownModeration } from './openai-moderation.ts'
import { imageTokens } from './openai-parts.ts'
import { readResponseInput } from './openai-responses-input.ts'
import { meterDeleted, meterResponse, meterStored } from './openai-responses-meter.ts'
import { readTools } from './openai-responses-tools.ts'
import { unmetered } from './refusals.ts'
import { openAITier } from './service-tiers.ts'
import { TOOL_PREAMBLE_TOKENS, tokensOfBody } from './text-bound.ts'

/**
 * Fields whose cost is known (`client_metadata` is Codex's, `logprobs` xAI's). Left out, and so unbounded: `prompt` (a stored
 * one may bring hosted tools), and `context_management` (compacting is a pass of its own, which no field limits).
 */
const KNOWN_FIELDS = new Set(
  `access_programs background background_options client_metadata conversation image include input instructions logprobs
  max_output_tokens max_tool_calls metadata model moderation parallel_tool_calls previous_response_id prompt_cache_key
  prompt_cache_options prompt_cache_retention reasoning safety_identifier service_tier store stream stream_options
  temperature text tool_choice tools top_logprobs top_p truncation user`.split(/\s+/),
)

/** Keeps the products of a bound far below 2^53. */
const MAX_TOOL_CALLS = 1_000

/** How long a response in the background may run at OpenAI, or wait there for someone to ask for it. */
const BACKGROUND_HELD_MS = 24 * 3_600_000

export const responseOperations: Operation[] = [
  {
    name: 'responses',
    method: 'POST',
    path: '/v1/responses',
    readBound: ({ body, bytes }) => readResponsesBound(body, bytes),
    edits: ({ body }, granted_output_tokens) => editResponses(body, granted_output_tokens),
    meter: ({ body }) => meterResponse(body),
    streamError: responsesStreamError,
    continues_for_ms: BACKGROUND_HELD_MS,
    ended_told_by: 'responses_get',
  },
  unmetered('responses_input_tokens', '/v1/responses/input_tokens', 'POST'),
  {
    ...unmetered('responses_get', '/v1/responses/:id'),
    meter:
      () =>
      ({ format }) =>
        meterStored(format === 'sse'),
    streamError: responsesStreamError,
  },
  { ...unmetered('responses_cancel', '/v1/responses/:id/cancel', 'POST'), meter: () => () => meterStored(false) },
  {
    ...unmetered('responses_delete', '/v1/responses/:id', 'DELETE'),
    meter:
      ({ params: { id = '' } }) =>
      () =>
        meterDeleted(id),
  },
  unmetered('responses_input_items', '/v1/responses/:id/input_items'),
]

export function readResponsesBound(body: JsonObject, bytes: number): Bound | GatewayError {
  const model = readModel(body)
  if (isRefusal(model)) return model
  const stream = readBoolean(body, 'stream')
  if (isRefusal(stream)) return stream
  const background = readBoolean(body, 'background')
  if (isRefusal(background)) return background
  const max_tokens = readPositiveInteger(body, 'max_output_tokens')
  if (isRefusal(max_tokens)) return max_tokens
  const max_tool_calls = readPositiveInteger(body, 'max_tool_calls', { most: MAX_TOOL_CALLS })
  if (isRefusal(max_tool_calls)) return max_tool_calls
  const declared = readArray(body, 'tools')
  if (isRefusal(declared)) return declared
  const items = body.input ?? []
  if (typeof items !== 'string' && !Array.isArray(items)) return invalidField('input', 'a string or an array')

  const tools = readTools(declared, max_tool_calls)
  const input = readResponseInput(items, imageTokens(model))
  const tier = openAITier(body)
  const stored = ['previous_response_id', 'conversation'].find((field) => (body[field] ?? null) !== null)
  const preamble = declared.length > 0 || isObject(body.text) ? TOOL_PREAMBLE_TOKENS : 0
  return {
    ...PLAIN_BOUND,
    model,
    stream,
    input_tokens: tokensOfBody(body, bytes) + input.added_tokens + preamble + tools.added_tokens,
    // What a search finds is read like any other input: the window bounds that, once a round.
    open_input: stored ?? input.open_input ?? tools.open_input,
    rounds: tools.rounds,
    unbounded:
      unknownField(body, KNOWN_FIELDS) ??
      tier.unbounded ??
      unpricedCache(body) ??
      unknownModeration(body) ??
      unknownOption(body) ??
      tools.unbounded ??
      input.unbounded ??
      unboundedModel(body, model),
    // Whether `max_output_tokens` holds for a response or for each of its rounds is not promised.
    output: { max_tokens, min_tokens: 1, choices: tools.rounds },
    // Newer models write their cache without being asked, at 1.25 times the input price.
    cache_write: '5m',
    web_search_requests: tools.web_search_requests,
    service_tier: tier.service_tier,
  }
}

export function editResponses(body: JsonObject, granted_output_tokens: number | null): Edit[] {
  return editBound(body, 'max_output_tokens', granted_output_tokens)
}

/** Completion windows of background calls that cost no more than the default, `soonest`. */
const NO_DEARER_WINDOWS: ReadonlySet<unknown> = new Set(['soonest', '2h', '8h'])

/**
 * `image` may ask for images to be compressed, which makes them fewer tokens, and for nothing else. The program of access to
 * cybersecurity (Codex's `/daybreak`) decides what is refused: https://developers.openai.com/api/docs/guides/daybreak
 */
function unknownOption({ access_programs, background_options: background, image }: JsonObject): string | null {
  if ((access_programs ?? null) !== null && !hasOnly(access_programs, 'cyber')) return 'access_programs'
  if (isObject(background) && !NO_DEARER_WINDOWS.has(background.completion_window ?? 'soonest'))
    return 'background_options.completion_window'
  return (image ?? null) === null || hasOnly(image, 'context_compression') ? null : 'image'
}

function unboundedModel({ reasoning }: JsonObject, model: string): string | null {
  // These models (deep research, too) search the web on every call.
  if (/search/i.test(model)) return 'model'
  // `pro` does more model work to answer; whether `max_output_tokens` bounds all of it is not promised.
  const mode = objectOrEmpty(reasoning).mode ?? 'standard'
  return mode === 'standard' ? null : 'reasoning.mode'
}
