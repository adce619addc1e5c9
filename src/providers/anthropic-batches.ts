// Anthropic's message batches: bounded when they are created, settled when their results pass through. Pure.
// https://docs.claude.com/en/api/creating-message-batches

import { type GatewayError, isRefusal } from '../errors.ts'
import {
  addUsage,
  announcedLength,
  bytesShown,
  isBlank,
  isObject,
  meterAnswer,
  NO_USAGE,
  objectOrEmpty,
  parseJsonOrUndefined,
  stringOrNull,
  UNREAD,
} from './answer.ts'
import { readMessageBound } from './anthropic-messages.ts'
import { answeredTier, readMessageUsage } from './anthropic-meter.ts'
import { utf8Decoder } from './bytes.ts'
import type { AnswerHead, Bound, Concluded, JsonObject, Meter, Metered, Operation, TokenUsage } from './dialect.ts'
import { invalidField, unknownField } from './fields.ts'
import { shortenStrings } from './long-strings.ts'
import { refusedList, unmetered } from './refusals.ts'

const KNOWN_FIELDS = new Set(['requests'])

/** Anthropic ends a batch within a day; then there is another day for someone to fetch its results. */
const CONTINUES_FOR_MS = 48 * 3_600_000

/** Anthropic's own limit. */
const MAX_REQUESTS = 100_000

/** Tiers as price lists name them, the dearest first. Any other costs as much as the standard one. */
const TIERS_BY_PRICE = ['fast_us', 'fast', 'us', 'standard', 'batch_us', 'batch']
const rankOf = (tier: string | null) => TIERS_BY_PRICE.indexOf(tier ?? 'standard')

const create: Operation = {
  name: 'message_batches_create',
  method: 'POST',
  path: '/v1/messages/batches',
  readBound: ({ body, bytes }) => readBatchBound(body, bytes),
  // A batch is granted as it is or refused: its answers are wanted whole.
  meter: () => () => meterBatch(true, (answer) => ({ continues_as: stringOrNull(answer.id) })),
  continues_for_ms: CONTINUES_FOR_MS,
  ended_told_by: 'message_batches_results',
}

const get: Operation = {
  ...unmetered('message_batches_get', '/v1/messages/batches/:id'),
  meter:
    ({ params: { id = '' } }) =>
    () =>
      meterBatch(false, (answer) => ({ concluded: concludedWithoutAnswers(answer, id) })),
}

const results: Operation = {
  ...unmetered('message_batches_results', '/v1/messages/batches/:id/results'),
  meter:
    ({ params: { id = '' } }) =>
    (head) =>
      meterResults(id, head),
}

export const messageBatches: Operation[] = [
  create,
  refusedList('message_batches_list', '/v1/messages/batches', 'Batches'),
  get,
  results,
  unmetered('message_batches_cancel', '/v1/messages/batches/:id/cancel', 'POST'),
  unmetered('message_batches_delete', '/v1/messages/batches/:id', 'DELETE'),
]

/**
 * The sum of what a batch's messages can use, at the standard price, which is twice the batch price. All must name the same
 * model, so that one price bounds them all.
 */
export function readBatchBound(body: JsonObject, bytes: number): Bound | GatewayError {
  const requests = Array.isArray(body.requests) ? body.requests : []
  if (requests.length > MAX_REQUESTS) return invalidField('requests', `at most ${MAX_REQUESTS}`)
  const sum = { tokens: bytes, output: 0, rounds: 0, choices: 0 }
  let dearest: Bound | null = null
  for (const [at, request] of requests.entries()) {
    const path = `requests[${at}].params`
    if (!isObject(request) || !isObject(request.params)) return invalidField(path, 'an object')
    // 0, because the bytes of all requests are counted once, above.
    const one = readMessageBound(request.params, 0)
    if (isRefusal(one)) {
      return { ...one, message: `${path}.${one.message}`, ...(one.field && { field: `${path}.${one.field}` }) }
    }
    if (dearest && one.model !== dearest.model) return invalidField(`${path}.model`, 'the same in all requests')
    const choices = one.output?.choices ?? 0
    sum.tokens += one.input_tokens + (one.rounds - 1) * bytes
    sum.output += (one.output?.max_tokens ?? 0) * choices
    sum.rounds += one.rounds
    sum.choices += choices
    dearest = dearest ? dearer(dearest, one, path) : withPath(one, path)
  }
  if (dearest === null) return invalidField('requests', 'an array of at least one')
  // The context window bounds each request and not their sum, so the bound has the rounds of all requests, each of average size.
  const average = Math.ceil(sum.output / sum.choices)
  return {
    ...dearest,
    stream: false,
    input_tokens: Math.max(0, Math.ceil(sum.tokens / sum.rounds)),
    rounds: sum.rounds,
    unbounded: dearest.unbounded ?? unknownField(body, KNOWN_FIELDS),
    // A part of the bound would be of no use: it is granted whole or not at all.
    output: { max_tokens: average, min_tokens: average, choices: sum.choices },
  }
}

const CACHE_WRITES: Bound['cache_write'][] = ['none', '5m', '1h']

function withPath(one: Bound, path: string): Bound {
  const within = (field: string | null) => field && `${path}.${field}`
  return { ...one, open_input: within(one.open_input), unbounded: within(one.unbounded) }
}

function dearer(so_far: Bound, one: Bound, path: string): Bound {
  const { open_input, unbounded } = withPath(one, path)
  return {
    ...so_far,
    open_input: so_far.open_input ?? open_input,
    unbounded: so_far.unbounded ?? unbounded,
    cache_write:
      CACHE_WRITES[Math.max(CACHE_WRITES.indexOf(so_far.cache_write), CACHE_WRITES.indexOf(one.cache_write))] ?? '1h',
    web_search_requests: so_far.web_search_requests + one.web_search_requests,
    service_tier: rankOf(one.service_tier) < rankOf(so_far.service_tier) ? one.service_tier : so_far.service_tier,
  }
}

/** An answer that is not a batch says nothing of what was created. */
function meterBatch(created: boolean, read: (answer: JsonObject) => Partial<Metered>): Meter {
  return meterAnswer((answer) => ({
    ...UNREAD,
    complete: !created,
    may_hide_output: created,
    ...(answer.type === 'message_batch' && { complete: true, ...read(answer) }),
  }))
}

/** A batch that ended without any answer used nothing. If it has answers, its results say what it used. */
function concludedWithoutAnswers(answer: JsonObject, id: string): Concluded[] {
  const counts = objectOrEmpty(answer.request_counts)
  if (answer.processing_status !== 'ended' || counts.succeeded !== 0 || answer.id !== id) return []
  return [{ id, usage: NO_USAGE, longest_input_tokens: null, model: null, service_tier: null, error_class: null }]
}

/** Meters a file with one line per request, in any order. The batch is concluded only once the whole file has passed through. */
function meterResults(id: string, head: AnswerHead): Meter {
  const announced = announcedLength(head)
  let usage: TokenUsage | null = NO_USAGE
  let model: string | null = null
  let tier: string | null = null
  let longest_input_tokens = 0
  let bytes = 0
  let count = 0
  // One answer may hold megabytes of fetched documents.
  const strings = shortenStrings()
  const lines = createLineReader((line) => {
    count += 1
    const read = readResult(parseJsonOrUndefined(line))
    usage = addUsage(usage, read?.usage ?? null)
    longest_input_tokens = Math.max(longest_input_tokens, read?.usage.input_tokens ?? 0)
    model = read?.model ?? model
    if (read?.tier && (tier === null || rankOf(read.tier) < rankOf(tier))) tier = read.tier
  })
  return {
    push(chunk) {
      bytes += chunk.length
      lines.push(strings.push(chunk))
    },
    end() {
      const metered: Metered = { ...UNREAD, may_hide_output: false }
      const isCut = bytes < announced || !lines.end()
      if (head.status !== 200 || isCut) return metered
      // A file without lines may be an answer that never began.
      const concluded =
        count === 0 ? [] : [{ id, usage, longest_input_tokens, model, service_tier: tier, error_class: null }]
      return { ...metered, complete: true, concluded }
    },
  }
}

/** Null for a line that cannot be read. */
function readResult(line: unknown): { usage: TokenUsage; model: string | null; tier: string | null } | null {
  if (!isObject(line) || !isObject(line.result)) return null
  const { type, message } = line.result
  if (type === 'errored' || type === 'canceled' || type === 'expired')
    return { usage: NO_USAGE, model: null, tier: null }
  if (type !== 'succeeded' || !isObject(message) || !isObject(message.usage)) return null
  // The batch's requests are no longer known: cache writes whose lifetime is not given are taken to be for an hour.
  const usage = readMessageUsage(message.usage, '1h')
  const tier = answeredTier({ ...message.usage, service_tier: message.usage.service_tier ?? 'batch' })
  if (usage === null || isBlank(usage, bytesShown(message.content))) return null
  return {
    usage,
    model: stringOrNull(message.model),
    tier: tier && TIERS_BY_PRICE.includes(tier) ? tier : 'standard',
  }
}

/** No answer is longer. */
const MAX_LINE_LENGTH = 8 * 1024 * 1024

/** JSONL in any chunking. `end` is false where the last line is cut or one was too long. */
function createLineReader(onLine: (line: string) => void): { push(chunk: Uint8Array): void; end(): boolean } {
  const decode = utf8Decoder()
  let rest = ''
  let broken = false
  return {
    push(chunk) {
      if (broken) return
      // Only what is new is searched: a line may have thousands of chunks.
      const [end = '', ...next] = decode(chunk).split('\n')
      rest += end
      for (const line of next) {
        if (rest.trim() !== '') onLine(rest)
        rest = line
      }
      broken = rest.length > MAX_LINE_LENGTH
    },
    end() {
      // The last line need not end with a line break.
      const last = (rest + decode()).trim()
      if (!broken && last !== '') {
        if (parseJsonOrUndefined(last) === undefined) return false
        onLine(last)
      }
      return !broken
    },
  }
}
