// OpenAI's API as answers to requests: credentials, errors, JSON and streams like theirs. Chat completions and models are
// here, each other API in a file of its own. https://platform.openai.com/docs/api-reference/chat

import { objectOrEmpty } from '../providers/answer.ts'
import { keepFiles, runBatches } from './fake-openai-batches.ts'
import { makeImages, speak, transcribe } from './fake-openai-media.ts'
import { respond, storedResponse } from './fake-openai-responses.ts'
import { completeText, embed, moderate } from './fake-openai-texts.ts'
import { choiceOf, MOST_CHOICES, missing, refusal, tooMany, unparsed } from './fake-openai-wire.ts'
import { events, json, type Script } from './fake-script.ts'
import {
  type Body,
  lastUserText,
  parseBody,
  promptTokens,
  randomId,
  type Said,
  say,
  schemaOf,
  toolsIn,
} from './fake-text.ts'

export const OPENAI_CREDENTIAL = 'sk-fake'
/** Credentials that stand for a key that a caller brings. */
const OWN_CREDENTIAL = /^sk-own/

const MODELS = ['gpt-4o', 'gpt-4o-mini', 'gpt-4.1', 'gpt-4.1-mini', 'o4-mini']
/** An alias answers with the name of its snapshot. */
const SNAPSHOTS: Record<string, string> = { 'gpt-4o': 'gpt-4o-2024-08-06', 'gpt-4o-mini': 'gpt-4o-mini-2024-07-18' }

/** @param path with the query string. */
export function answerOpenAI(
  method: string,
  path: string,
  authorization: string | undefined,
  bytes: Buffer,
  content_type = 'application/json',
): Script {
  const answer = route(method, path, authorization, bytes, content_type)
  const headers = {
    'x-request-id': randomId('req_', 32),
    'openai-version': '2020-10-01',
    'openai-processing-ms': '12',
    'x-ratelimit-limit-requests': '10000',
    'x-ratelimit-remaining-requests': '9999',
  }
  return { ...answer, headers: { ...answer.headers, ...headers } }
}

function route(
  method: string,
  target: string,
  authorization: string | undefined,
  bytes: Buffer,
  content_type: string,
): Script {
  const { pathname: path, searchParams } = new URL(target, 'http://fake')
  if (!authorization?.startsWith('Bearer '))
    return refusal(
      401,
      `You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer auth (i.e. Authorization: Bearer YOUR_KEY).`,
    )
  const credential = authorization.slice('Bearer '.length)
  if (credential !== OPENAI_CREDENTIAL && !OWN_CREDENTIAL.test(credential))
    return refusal(401, 'Incorrect API key provided: sk-****.', { code: 'invalid_api_key' })
  if (method === 'GET' && path === '/v1/models') return json({ object: 'list', data: MODELS.map(model) })
  if (method === 'GET' && path.startsWith('/v1/models/')) return oneModel(path.slice('/v1/models/'.length))
  if (path.startsWith('/v1/files')) return keepFiles(method, path, bytes, content_type)
  if (path.startsWith('/v1/batches')) return runBatches(method, path, bytes)
  if (method === 'POST' && path === '/v1/responses/input_tokens')
    return json({ object: 'response.input_tokens', input_tokens: promptTokens(bytes) })
  if (path.startsWith('/v1/responses/')) return storedResponse(method, path, searchParams)
  const answer = method === 'POST' ? post(path, bytes, content_type) : null
  return answer ?? refusal(404, `Invalid URL (${method} ${path})`)
}

const model = (id: string) => ({ id, object: 'model', created: 1721172741, owned_by: 'system' })

function oneModel(id: string): Script {
  if (MODELS.includes(id) || Object.values(SNAPSHOTS).includes(id)) return json(model(id))
  return refusal(404, `The model '${id}' does not exist`, { param: 'model', code: 'model_not_found' })
}

function post(path: string, bytes: Buffer, content_type: string): Script | null {
  switch (path) {
    case '/v1/chat/completions':
      return complete(bytes)
    case '/v1/responses':
      return respond(bytes)
    case '/v1/completions':
      return completeText(bytes)
    case '/v1/embeddings':
      return embed(bytes)
    case '/v1/moderations':
      return moderate(bytes)
    case '/v1/images/generations':
    case '/v1/images/edits':
    case '/v1/images/variations':
      return makeImages(path, bytes, content_type)
    case '/v1/audio/transcriptions':
    case '/v1/audio/translations':
      return transcribe(path, bytes, content_type)
    case '/v1/audio/speech':
      return speak(bytes)
    default:
      return null
  }
}

function complete(bytes: Buffer): Script {
  const body = parseBody(bytes)
  if (!body) return unparsed()
  if (typeof body.model !== 'string') return refusal(400, 'you must provide a model parameter')
  if (!Array.isArray(body.messages)) return missing('messages')
  for (const param of ['max_completion_tokens', 'max_tokens'])
    if (body[param] != null && !(Number.isInteger(body[param]) && Number(body[param]) >= 1))
      return refusal(400, `Invalid '${param}': integer below minimum value.`, {
        param,
        code: 'integer_below_min_value',
      })

  const refused = tooMany(body.n, MOST_CHOICES)
  if (refused) return refused

  const prompt_tokens = promptTokens(bytes)
  const long = tooLong(body.model, prompt_tokens)
  if (long) return long
  const said = say({
    userText: lastUserText(body.messages),
    tools: toolsIn(body.tools, ['function'], ['parameters']),
    choice: choiceOf(body.tool_choice),
    schema: schemaOf(body.response_format),
    bound: body.max_completion_tokens ?? body.max_tokens,
  })
  const choices = Number(body.n ?? 1)
  const completion_tokens = said.pieces.length * choices
  const usage = {
    prompt_tokens,
    completion_tokens,
    total_tokens: prompt_tokens + completion_tokens,
    prompt_tokens_details: { cached_tokens: 0, audio_tokens: 0 },
    completion_tokens_details: {
      reasoning_tokens: 0,
      audio_tokens: 0,
      accepted_prediction_tokens: 0,
      rejected_prediction_tokens: 0,
    },
  }
  const common = {
    id: randomId('chatcmpl-', 29),
    created: Math.floor(Date.now() / 1000),
    model: SNAPSHOTS[body.model] ?? body.model,
    service_tier: body.service_tier === 'auto' || !body.service_tier ? 'default' : body.service_tier,
    system_fingerprint: 'fp_fa4e0000',
  }
  const indexes = Array.from({ length: choices }, (_, index) => index)
  return body.stream === true ? streamed(body, common, said, indexes, usage) : whole(common, said, indexes, usage)
}

const WINDOWS: [RegExp, number][] = [
  [/^gpt-4o/, 128_000],
  [/^gpt-4\.1/, 1_047_576],
]

/** The refusal of messages that do not fit into the model's context window; null where they do. */
function tooLong(model: string, tokens: number): Script | null {
  const window = WINDOWS.find(([name]) => name.test(model))?.[1] ?? 400_000
  if (tokens <= window) return null
  const message = `This model's maximum context length is ${window} tokens. However, your messages resulted in ${tokens} tokens. Please reduce the length of the messages.`
  return refusal(400, message, { param: 'messages', code: 'context_length_exceeded' })
}

const finishReason = ({ truncated, tool }: Said) => (truncated ? 'length' : tool ? 'tool_calls' : 'stop')

function whole(common: Body, said: Said, indexes: number[], usage: Body): Script {
  const text = said.pieces.join('')
  const choices = indexes.map((index) => ({
    index,
    message: {
      role: 'assistant',
      content: said.tool ? null : text,
      ...(said.tool && { tool_calls: [{ id: randomId('call_', 24), ...callOf(said.tool, text) }] }),
      refusal: null,
      annotations: [],
    },
    logprobs: null,
    finish_reason: finishReason(said),
  }))
  return json({ ...common, object: 'chat.completion', choices, usage })
}

const callOf = (name: string, text: string) => ({ type: 'function', function: { name, arguments: text } })

function streamed(body: Body, common: Body, said: Said, indexes: number[], usage: Body): Script {
  const includeUsage = objectOrEmpty(body.stream_options).include_usage === true
  const event = (fields: Body) =>
    `data: ${JSON.stringify({ ...common, object: 'chat.completion.chunk', ...fields })}\n\n`
  const chunk = (index: number, delta: Body, finish_reason: string | null = null) =>
    event({ choices: [{ index, delta, logprobs: null, finish_reason }], ...(includeUsage && { usage: null }) })
  const opening = (): Body =>
    said.tool
      ? {
          role: 'assistant',
          content: null,
          tool_calls: [{ index: 0, id: randomId('call_', 24), ...callOf(said.tool, '') }],
        }
      : { role: 'assistant', content: '', refusal: null }
  const delta = (piece: string): Body =>
    said.tool ? { tool_calls: [{ index: 0, function: { arguments: piece } }] } : { content: piece }
  return events([
    ...indexes.map((index) => chunk(index, opening())),
    ...said.pieces.flatMap((piece) => indexes.map((index) => chunk(index, delta(piece)))),
    ...indexes.map((index) => chunk(index, {}, finishReason(said))),
    ...(includeUsage ? [event({ choices: [], usage })] : []),
    'data: [DONE]\n\n',
  ])
}
