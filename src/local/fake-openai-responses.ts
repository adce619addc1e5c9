// OpenAI's responses: JSON, streams, tools, and background calls, which are done at the second poll. Their usage is the
// highest that they may have: a token for each byte, the whole output bound, every search, every round.
// https://platform.openai.com/docs/api-reference/responses

import { isObject } from '../providers/answer.ts'
import { choiceOf, memory, missing, refusal, unparsed } from './fake-openai-wire.ts'
import { events, json, type Script } from './fake-script.ts'
import { at, type Body, lastUserText, parseBody, randomId, type Said, say, schemaOf, toolsIn } from './fake-text.ts'

/** What each search and each stored context adds to the input. */
const FOUND_TOKENS = 2_000
const STORED_TOKENS = 5_000
/** In place of its bytes an image adds 3,779 at most with these models, and with gpt-4o-mini more than with any other. */
const TAKES_FEW = /^((chat)?gpt-4o(?!-mini)|gpt-4\.1|gpt-5(?!\.)|o\d)/
const imageTokens = (model: unknown) => (TAKES_FEW.test(String(model)) ? 3_779 : 48_169)
/** A longer context is truncated. */
const WINDOW_TOKENS = 128_000

const responses = memory<{ response: Body; polls: number }>()

export function respond(bytes: Buffer): Script {
  const body = parseBody(bytes)
  if (!body) return unparsed()
  if (typeof body.model !== 'string') return missing('model')
  const bound = body.max_output_tokens ?? null
  if (bound !== null && !(Number.isInteger(bound) && Number(bound) >= 1))
    return refusal(400, `Invalid 'max_output_tokens': integer below minimum value.`, {
      param: 'max_output_tokens',
      code: 'integer_below_min_value',
    })

  const items = typeof body.input === 'string' ? [{ role: 'user', content: body.input }] : body.input
  const said = say({
    userText: lastUserText(items),
    tools: toolsIn(Array.isArray(body.tools) && body.tools.filter(isFunction), [], ['parameters']),
    choice: choiceOf(body.tool_choice),
    schema: schemaOf(formatOf(body)),
    bound,
  })
  const searches = searchesOf(body)
  const item = itemOf(said)
  const opening = openingOf(body)
  const whole = {
    ...opening,
    status: said.truncated ? 'incomplete' : 'completed',
    incomplete_details: said.truncated ? { reason: 'max_output_tokens' } : null,
    output: [...searches, item],
    usage: usageOf(body, bytes, said, searches.length),
  }
  responses.set(opening.id, { response: whole, polls: 0 })
  if (body.stream === true) return streamed(opening, whole, searches, item, said.pieces)
  return json(body.background === true ? { ...opening, status: 'queued' } : whole)
}

/** The message, or the call of a function, that the model has made. */
function itemOf({ pieces, tool, truncated }: Said): Body {
  const text = pieces.join('')
  if (tool) {
    const [id, call_id] = [randomId('fc_', 32), randomId('call_', 24)]
    return { id, type: 'function_call', status: 'completed', call_id, name: tool, arguments: text }
  }
  return {
    id: randomId('msg_', 32),
    type: 'message',
    status: truncated ? 'incomplete' : 'completed',
    role: 'assistant',
    content: [{ type: 'output_text', text, annotations: [], logprobs: [] }],
  }
}

const formatOf = (body: Body) => at(body.text, 'format') ?? { type: 'text' }

/** The response before anything is generated: it repeats most of the request. */
function openingOf(body: Body) {
  return {
    id: randomId('resp_', 48),
    object: 'response',
    created_at: Math.floor(Date.now() / 1000),
    status: 'in_progress',
    background: body.background === true,
    error: null,
    incomplete_details: null,
    instructions: body.instructions ?? null,
    max_output_tokens: body.max_output_tokens ?? null,
    model: body.model,
    output: [],
    parallel_tool_calls: true,
    previous_response_id: body.previous_response_id ?? null,
    service_tier: body.service_tier === 'auto' || !body.service_tier ? 'default' : body.service_tier,
    store: body.store !== false,
    temperature: 1,
    text: { format: formatOf(body) },
    tool_choice: body.tool_choice ?? 'auto',
    tools: body.tools ?? [],
    top_p: 1,
    truncation: 'disabled',
    usage: null,
    metadata: body.metadata ?? {},
  }
}

/** The highest usage that the response may have: each search is one more round over everything. */
function usageOf(body: Body, bytes: Buffer, { pieces }: Said, searches: number): Body {
  const rounds = searches + 1
  const stored = body.previous_response_id || body.conversation ? STORED_TOKENS : 0
  const images = bytes.toString().match(/data:image\/[^"]*/g) ?? []
  const seen = bytes.length - images.join('').length + images.length * imageTokens(body.model)
  const context = seen + stored + searches * FOUND_TOKENS
  const input_tokens = Math.min(context, WINDOW_TOKENS) * rounds
  const output_tokens = Number(body.max_output_tokens ?? pieces.length) * rounds
  return {
    input_tokens,
    input_tokens_details: { cached_tokens: 0, cache_write_tokens: 0 },
    output_tokens,
    output_tokens_details: { reasoning_tokens: output_tokens - pieces.length },
    total_tokens: input_tokens + output_tokens,
  }
}

/** At the first poll a background response is still running, at the second it is done. */
export function storedResponse(method: string, path: string, query: URLSearchParams): Script {
  const [, , , id = '', action] = path.split('/')
  const found = responses.get(id)
  if (!found) return refusal(404, `Response with id '${id}' not found.`)
  const { response } = found
  found.polls += 1
  const isRunning = response.background === true && found.polls < 2
  if (method === 'DELETE' && !action) {
    responses.delete(id)
    return json({ id, object: 'response.deleted', deleted: true })
  }
  if (method === 'POST' && action === 'cancel') {
    if (response.background !== true) return refusal(400, 'Only background responses can be cancelled.')
    const cancelled = { ...response, status: 'cancelled', output: [], incomplete_details: null, usage: null }
    responses.set(id, { response: cancelled, polls: 2 })
    return json(cancelled)
  }
  if (method === 'GET' && action === 'input_items')
    return json({ object: 'list', data: [], first_id: null, last_id: null, has_more: false })
  if (method !== 'GET' || action) return refusal(404, `Invalid URL (${method} ${path})`)
  if (query.get('stream') === 'true') {
    const item = Array.isArray(response.output) ? response.output.findLast(isObject) : undefined
    const opening = { ...response, status: 'in_progress', output: [], usage: null }
    return streamed(opening, response, [], item ?? {}, [])
  }
  return json(isRunning ? { ...response, status: 'in_progress', output: [], usage: null } : response)
}

function streamed(opening: Body, whole: Body, searches: Body[], item: Body, pieces: string[]): Script {
  let sequence_number = 0
  const event = (type: string, fields: Body) =>
    `event: ${type}\ndata: ${JSON.stringify({ type, sequence_number: sequence_number++, ...fields })}\n\n`
  const output_index = searches.length
  const where = { item_id: item.id, output_index, content_index: 0 }
  const isCall = item.type === 'function_call'
  const text = pieces.join('')
  const part = { type: 'output_text', text: '', annotations: [], logprobs: [] }
  const empty = isCall
    ? { ...item, status: 'in_progress', arguments: '' }
    : { ...item, status: 'in_progress', content: [] }
  return events([
    event('response.created', { response: opening }),
    event('response.in_progress', { response: opening }),
    ...searches.flatMap((search, index) => [
      event('response.output_item.added', { output_index: index, item: { ...search, status: 'in_progress' } }),
      event('response.web_search_call.completed', { output_index: index, item_id: search.id }),
      event('response.output_item.done', { output_index: index, item: search }),
    ]),
    event('response.output_item.added', { output_index, item: empty }),
    ...(isCall ? [] : [event('response.content_part.added', { ...where, part })]),
    ...pieces.map((delta) =>
      isCall
        ? event('response.function_call_arguments.delta', { item_id: item.id, output_index, delta })
        : event('response.output_text.delta', { ...where, delta, logprobs: [], obfuscation: 'a7Fk2' }),
    ),
    ...(isCall
      ? [event('response.function_call_arguments.done', { item_id: item.id, output_index, arguments: text })]
      : [
          event('response.output_text.done', { ...where, text, logprobs: [] }),
          event('response.content_part.done', { ...where, part: { ...part, text } }),
        ]),
    event('response.output_item.done', { output_index, item }),
    event(`response.${whole.status}`, { response: whole }),
  ])
}

/** The most that the gateway lets pass under a cap. Without a cap a call may ask for more, which must not fill the memory. */
const MOST_SEARCHES = 1_000

function searchesOf(body: Body): Body[] {
  const tools = Array.isArray(body.tools) ? body.tools : []
  if (!tools.some((tool) => isObject(tool) && String(tool.type).startsWith('web_search'))) return []
  const query = 'fake'
  return Array.from({ length: Math.min(Number(body.max_tool_calls ?? 1), MOST_SEARCHES) }, () => ({
    id: randomId('ws_', 32),
    type: 'web_search_call',
    status: 'completed',
    action: { type: 'search', query, queries: [query] },
  }))
}

const isFunction = (tool: unknown) => at(tool, 'type') === 'function'
