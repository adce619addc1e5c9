// An operation of OpenAI's as a provider with quirks serves it: its own parameters, output field and fees. Pure.

import { isRefusal } from '../../errors.ts'
import { isObject, wholeWindow } from '../answer.ts'
import type { Bound, Edit, JsonObject, Operation } from '../dialect.ts'
import { invalidField } from '../fields.ts'
import { findLinkedImage, findPart, sendsAudio } from '../openai-parts.ts'
import { findHosted } from '../openai-responses-tools.ts'
import { isNoDearerTier } from '../service-tiers.ts'
import { tokensOfBody, visit } from '../text-bound.ts'
import { withBilledErrors } from './billed-errors.ts'
import type { Quirks } from './provider.ts'
import { withUsageQuirks } from './usage.ts'

/** Sampling parameters that many servers know and that cost nothing. */
const COMMON_FIELDS = ['top_k', 'min_p', 'repetition_penalty', 'seed', 'presence_penalty', 'frequency_penalty']

/** Operations that take `COMMON_FIELDS`, and operations that take the `fields` of a row. */
const SAMPLES = ['chat_completions', 'completions', 'responses']
const HAS_FIELDS = ['chat_completions', 'completions']

/** Parts of messages and of tools' answers that are billed as tokens. Others (files, documents) may cost by the page. */
const TOKEN_PARTS: ReadonlySet<unknown> = new Set(
  `text refusal thinking image_url input_audio input_text output_text summary_text reasoning_text input_image
  computer_screenshot`.split(/\s+/),
)
const isOdd = (part: unknown) => !isObject(part) || !TOKEN_PARTS.has(part.type)

export function withQuirks(operation: Operation, quirks: Quirks): Operation {
  const { readBound, edits, filter, meter } = operation
  if (readBound === null) return operation
  return {
    ...operation,
    readBound(asked) {
      // Nobody could fetch the answer of a background call: compatible providers have no routes for that here.
      if (asked.body.background === true) return invalidField('background', 'false with this provider')
      const own = ownFields(asked.body, operation, quirks)
      const isOpenAIs = (name: string) => !Object.hasOwn(own, name) && (quirks.service_tiers || name !== 'service_tier')
      const others = Object.entries(asked.body).filter(([name]) => isOpenAIs(name))
      const bound = readBound({ ...asked, body: Object.fromEntries(others) })
      return isRefusal(bound) ? bound : widen(bound, asked.body, own, quirks)
    },
    billed_statuses: quirks.billed_errors.map(Number),
    edits: (asked, granted) => adapt(edits?.(asked, granted) ?? [], asked.body, granted, operation, quirks),
    // Where Tollgate cannot ask for a chunk of usage, the one that comes unasked is the client's.
    filter: (asked) => (quirks.no_stream_options ? null : (filter?.(asked) ?? null)),
    meter(asked) {
      const open = meter(asked)
      const sent = { one_hour: asksForOneHour(asked.body, quirks), audio_input: sendsAudio(asked.body) }
      return (head) => withBilledErrors(withUsageQuirks(open(head), head, quirks, sent), head, quirks)
    },
  }
}

/** Parameters that OpenAI does not know and whose cost is known. */
function ownFields(body: JsonObject, { name }: Operation, { fields }: Quirks): JsonObject {
  const common = SAMPLES.includes(name) ? COMMON_FIELDS : []
  const isOwn = (field: string) => common.includes(field) || (HAS_FIELDS.includes(name) && Object.hasOwn(fields, field))
  return Object.fromEntries(Object.entries(body).filter(([field]) => isOwn(field)))
}

/** The bound as OpenAI's own operation reads it, and what this provider may bill on top. */
function widen(bound: Bound, body: JsonObject, own: JsonObject, quirks: Quirks): Bound {
  const added = Object.keys(own).reduce((sum, field) => sum + (quirks.fields[field] ?? 0), quirks.preamble_tokens)
  return {
    ...bound,
    // Divided by the rounds, because the quote multiplies by them: what is added counts once.
    input_tokens: bound.input_tokens + Math.ceil((tokensOfBody(own, 0) + added) / bound.rounds),
    open_input: bound.open_input ?? findThought(body, quirks) ?? findLinkedImage(body),
    // Fees come first: OpenAI's reading may ask for `max_tool_calls`, which would not help here.
    unbounded: findFee(bound, body, quirks) ?? bound.unbounded ?? findTier(body, quirks),
    output: holdsForTextAlone(bound, body, quirks) ? wholeWindow(bound.output) : aboveBudget(bound.output, body),
    service_tier: quirks.service_tiers ? bound.service_tier : null,
    cache_write: asksForOneHour(body, quirks) ? '1h' : bound.cache_write,
  }
}

/**
 * OpenRouter's thinking budget, which the bound of the output must be above.
 * https://openrouter.ai/docs/use-cases/reasoning-tokens
 */
function aboveBudget(output: Bound['output'], { reasoning }: JsonObject): Bound['output'] {
  const budget = isObject(reasoning) ? reasoning.max_tokens : null
  if (output === null || typeof budget !== 'number' || !Number.isSafeInteger(budget) || budget < 1) return output
  return { ...output, min_tokens: Math.min(output.max_tokens ?? Number.MAX_SAFE_INTEGER, budget + 1) }
}

function holdsForTextAlone({ model }: Bound, body: JsonObject, quirks: Quirks): boolean {
  // An item of the input may bring tools, too.
  const items = Array.isArray(body.input) ? body.input.filter(isObject) : []
  const declared = [body.tools, body.functions, ...items.map(({ tools }) => tools)]
  const calls = declared.some((tools) => Array.isArray(tools) && tools.length > 0)
  return isAmong(model, quirks.text_bound_models) && (calls || !isAmong(model, quirks.plain_models))
}

function isAmong(model: string | null, parts: string[]): boolean {
  const id = model?.toLowerCase() ?? ''
  return parts.some((part) => id.includes(part.toLowerCase()))
}

/** A tier that may cost more than the standard one. Flex may not: without a price it is charged as standard. */
function findTier({ service_tier }: JsonObject, { service_tiers }: Quirks): string | null {
  return service_tiers || isNoDearerTier(service_tier) ? null : 'service_tier'
}

/** The path of what may cost a fee that token counts do not show, or write as much as it likes. */
function findFee({ model }: Bound, body: JsonObject, { fee_models }: Quirks): string | null {
  if (isAmong(model, fee_models)) return 'model'
  if (!areSwitches(body.chat_template_kwargs ?? {})) return 'chat_template_kwargs'
  const hosted = findHosted(Array.isArray(body.tools) ? body.tools : [])
  return hosted ?? findPart(body, isOdd)
}

/** The path of an encrypted thought: unlike OpenAI's, it may be compressed, or stand for one that is stored. */
function findThought({ input }: JsonObject, { encrypted_thoughts }: Quirks): string | null {
  const items = Array.isArray(input) && !encrypted_thoughts ? input : []
  const at = items.findIndex(
    (item) => isObject(item) && item.type === 'reasoning' && (item.encrypted_content ?? null) !== null,
  )
  return at === -1 ? null : `input[${at}].reasoning`
}

/** True for plain switches. Servers pass `chat_template_kwargs` to the template's renderer: a member may be a whole template. */
function areSwitches(given: unknown): boolean {
  const isSwitch = (value: unknown) => typeof value !== 'object' && /^\w{1,20}$/.test(String(value))
  return isObject(given) && Object.values(given).every(isSwitch)
}

/** Anthropic's models, wherever they are served, keep a cache for an hour at twice the price. */
function asksForOneHour(body: JsonObject, { cache_ttl }: Quirks): boolean {
  let found = false
  if (cache_ttl) {
    visit(body, (value, key) => {
      found ||= key === 'ttl' && value === '1h'
    })
  }
  return found
}

/** OpenAI's edits, without the option that this provider does not know, and with the bound in the field that it obeys. */
function adapt(
  edits: Edit[],
  body: JsonObject,
  granted: number | null,
  { name }: Operation,
  { no_stream_options, output_field }: Quirks,
): Edit[] {
  const kept = no_stream_options ? edits.filter(({ field }) => field !== 'stream_options') : edits
  if (name !== 'chat_completions' || output_field === null) return kept
  if ((body[output_field] ?? null) !== null) return kept
  const other = body.max_tokens ?? body.max_completion_tokens ?? null
  if (other === null)
    return granted === null ? kept : [...kept.filter(isNoLimit), { field: output_field, value: granted }]
  return [...kept, { field: output_field, value: Math.min(Number(other), granted ?? Number(other)) }]
}

const isNoLimit = ({ field }: Edit) => field !== 'max_tokens' && field !== 'max_completion_tokens'
