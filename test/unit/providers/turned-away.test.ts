// Streams in which a provider says that it has no quota or no room, where it could have answered with a 429, 503 or 529. The
// shapes are those that others have recorded: https://github.com/Wei-Shaw/sub2api/issues/5563 (Anthropic),
// https://github.com/BenedictKing/ccx/issues/250 and https://github.com/vercel/ai, openai-error.1.chunks.txt (OpenAI).

import { describe, expect, test } from 'vitest'
import { anthropic } from '../../../src/providers/anthropic.ts'
import { compatibleProviders } from '../../../src/providers/compatible/configured.ts'
import type { AnswerHead, JsonObject, Operation } from '../../../src/providers/dialect.ts'
import { exceptionFrame, jsonFrame } from '../../../src/providers/eventstream.ts'
import { gemini } from '../../../src/providers/gemini.ts'
import { openAICompatible } from '../../../src/providers/openai-compatible.ts'
import { chunkFrame, operationOf } from './bedrock-vectors.ts'
import { operation } from './openai-operations.ts'
import { askedWith, headOf } from './replay.ts'

const bytesOf = (text: string) => new TextEncoder().encode(text)
const data = (value: object) => bytesOf(`data: ${JSON.stringify(value)}\n\n`)

const response = (type: string, more: object = {}) =>
  data({ type: `response.${type}`, response: { id: 'resp_1', model: 'gpt-5.1', output: [], usage: null, ...more } })
const inProgress = { status: 'in_progress', error: null }
const BEGUN = [response('created', inProgress), response('in_progress', inProgress)]
const WAITED = [response('queued', { ...inProgress, status: 'queued' }), data({ type: 'keepalive' })]
const ITEM = data({ type: 'response.output_item.added', item: { type: 'reasoning', summary: [] } })
const noRoom = { type: 'service_unavailable_error', code: 'server_is_overloaded', message: 'Later.', param: null }
const noQuota = { type: 'insufficient_quota', code: 'insufficient_quota', message: 'Pay first.', param: null }
// https://github.com/openai/codex/issues/4441: Codex tries six times. With JSON it is a 400.
const tooLong = { type: 'invalid_request_error', code: 'context_length_exceeded', message: 'Too long.', param: 'input' }
const failed = (error: { code: string }, more: object = {}) => [
  data({ type: 'error', sequence_number: 2, error }),
  response('failed', { status: 'failed', error: { code: error.code, message: 'No.' }, ...more }),
]
const CONVERSES = jsonFrame({ ':event-type': 'messageStart', ':message-type': 'event' }, { role: 'assistant' })
const THROTTLED = exceptionFrame('throttlingException', 'Too many tokens.')
const overloaded = data({ type: 'error', error: { details: null, type: 'overloaded_error', message: 'Overloaded' } })
const START = data({ type: 'message_start', message: { model: 'm', usage: { input_tokens: 9, output_tokens: 1 } } })
const EXHAUSTED = { error: { code: 429, message: 'Quota.', status: 'RESOURCE_EXHAUSTED' } }
const exhausted = data(EXHAUSTED)
const EMPTY = data({ candidates: [{ content: { role: 'model' }, index: 0 }] })
/** As none was ever seen, but Bedrock adds its counts to whatever event is the last. */
const BILLED = JSON.stringify({
  type: 'error',
  error: { type: 'overloaded_error' },
  'amazon-bedrock-invocationMetrics': { inputTokenCount: 9, outputTokenCount: 1 },
})
const ERROR_EVENT = data({ type: 'error', error: noQuota })
const ROLE = data({ choices: [{ index: 0, delta: { role: 'assistant', content: '' } }], model: 'gpt-5.1' })

/** Cut inside of its JSON. */
const CUT = bytesOf('data: {"type":"mess\n\n')
/** Larger than any event that is read. */
const ENORMOUS = Array(5).fill(bytesOf(`data: [${'0,'.repeat(500_000)}`))
const ARRAY = bytesOf('[{"error":{"code":503}}')
const HUGE = bytesOf(`,{"candidates":"${'0'.repeat(24 * 1024 * 1024)}`)
const TOLD = { prompt_tokens: 9, completion_tokens: 0, total_tokens: 9 }

const SSE = headOf('sse')
const JSON_ANSWER = headOf('json')
const FRAMES = headOf('eventstream')
const find = (operations: Operation[], name: string) => operations.find((one) => one.name === name) as Operation
const messages = find(anthropic.operations, 'messages')
const generate = find(gemini.operations, 'stream_generate_content')
const CLAUDE = 'us.anthropic.claude-haiku-4-5-20251001-v1:0'

function meter(of: Operation, head: AnswerHead, body: JsonObject, ...chunks: Uint8Array[]) {
  const params = { model: head === FRAMES ? CLAUDE : 'gemini-2.5-flash:verb' }
  const opened = of.meter(askedWith(body, { params }))(head)
  for (const chunk of chunks) opened.push(chunk)
  return opened.end()
}

describe('nothing but an error that says so has not been taken', () => {
  test.each<[string, Operation, AnswerHead, Uint8Array[]]>([
    ['Anthropic', messages, SSE, [data({ type: 'ping' }), overloaded]],
    ['OpenAI responses without room', operation('responses'), SSE, [...BEGUN, ...WAITED, ...failed(noRoom)]],
    ['OpenAI responses without quota', operation('responses'), SSE, [...BEGUN, ...failed(noQuota)]],
    ['OpenAI responses with too long an input', operation('responses'), SSE, [...BEGUN, ...failed(tooLong)]],
    ['OpenAI chat', operation('chat_completions'), SSE, [data({ error: noQuota })]],
    ['OpenAI images', operation('images_generations'), SSE, [ERROR_EVENT]],
    ['OpenAI transcripts', operation('audio_transcriptions'), SSE, [ERROR_EVENT]],
    ['Gemini', generate, SSE, [exhausted]],
    ['Gemini, in plain JSON', generate, SSE, [bytesOf('{\n  "error": {\n    "code": 503\n  }\n}\n')]],
    ['Gemini, as an array', generate, JSON_ANSWER, [ARRAY, bytesOf(']')]],
    ['Gemini, as an array that is cut behind it', generate, JSON_ANSWER, [ARRAY]],
    ['Gemini, as an object where an array was due', generate, JSON_ANSWER, [ARRAY.subarray(1)]],
    ['Converse', operationOf('converse_stream'), FRAMES, [THROTTLED]],
    ['Claude on Bedrock', operationOf('invoke_model_stream'), FRAMES, [THROTTLED]],
  ])('%s', (_, of, head, chunks) => {
    expect(meter(of, head, { model: 'gpt-4o-transcribe' }, ...chunks)).toMatchObject({
      is_turned_away: true,
      usage: null,
      complete: false,
    })
  })
})

describe('once anything of an answer came, it may have been billed', () => {
  test.each<[string, Operation, AnswerHead, Uint8Array[]]>([
    ['Anthropic', messages, SSE, [START, overloaded]],
    ['Anthropic, whatever the order', messages, SSE, [overloaded, START]],
    ['OpenAI responses', operation('responses'), SSE, [...BEGUN, ITEM, ...failed(noRoom)]],
    ['OpenAI responses, in the last event', operation('responses'), SSE, failed(noRoom, { output: [{}] })],
    ['OpenAI responses, with a usage', operation('responses'), SSE, failed(noRoom, { usage: { input_tokens: 9 } })],
    ['OpenAI chat', operation('chat_completions'), SSE, [ROLE, data({ error: noQuota })]],
    ['OpenAI chat, with a usage', operation('chat_completions'), SSE, [data({ error: noQuota, usage: TOLD })]],
    [
      'OpenAI chat, with text',
      operation('chat_completions'),
      SSE,
      [data({ error: noQuota, choices: [{ text: 'a' }] })],
    ],
    ['OpenAI chat, in what cannot be read', operation('chat_completions'), SSE, [data({ error: noQuota }), CUT]],
    ['OpenAI responses, in what cannot be read', operation('responses'), SSE, [CUT, ...failed(noRoom)]],
    ['OpenAI images', operation('images_generations'), SSE, [data({ type: 'x' }), ERROR_EVENT]],
    ['OpenAI images, in what cannot be read', operation('images_generations'), SSE, [ERROR_EVENT, CUT]],
    ['OpenAI transcripts', operation('audio_transcriptions'), SSE, [data({ type: 'x' }), ERROR_EVENT]],
    ['OpenAI transcripts, in what cannot be read', operation('audio_transcriptions'), SSE, [ERROR_EVENT, CUT]],
    ['Gemini', generate, SSE, [EMPTY, exhausted]],
    ['Gemini, with a usage', generate, SSE, [data({ ...EXHAUSTED, usageMetadata: { promptTokenCount: 9 } })]],
    [
      'Gemini, with text',
      generate,
      SSE,
      [data({ ...EXHAUSTED, candidates: [{ content: { parts: [{ text: 'a' }] } }] })],
    ],
    ['Gemini, in what cannot be read', generate, SSE, [exhausted, ...ENORMOUS]],
    ['Gemini, in half an object of an array', generate, JSON_ANSWER, [ARRAY, bytesOf(',{"candi')]],
    ['Gemini, in what is too long for an array', generate, JSON_ANSWER, [ARRAY, HUGE, bytesOf('"}]')]],
    ['Anthropic, in half an event', messages, SSE, [overloaded, CUT]],
    ['Anthropic, in what cannot be read', messages, SSE, [overloaded, ...ENORMOUS]],
    ['Converse', operationOf('converse_stream'), FRAMES, [CONVERSES, THROTTLED]],
    ['Converse, in half a frame', operationOf('converse_stream'), FRAMES, [THROTTLED, CONVERSES.subarray(0, 20)]],
    ['Claude on Bedrock', operationOf('invoke_model_stream'), FRAMES, [chunkFrame('{"type":"ping"}'), THROTTLED]],
    ['Claude on Bedrock, with a usage', operationOf('invoke_model_stream'), FRAMES, [chunkFrame(BILLED)]],
  ])('%s', (_, of, head, chunks) => {
    expect(meter(of, head, { model: 'gpt-5.1' }, ...chunks)).toMatchObject({ is_turned_away: false })
  })
})

test('any other error may have come from a model that ran', () => {
  const broken = { type: 'api_error', code: 'server_error', message: 'Internal server error' }
  expect(meter(messages, SSE, {}, data({ type: 'error', error: broken }))).toMatchObject({ is_turned_away: false })
  expect(meter(operation('responses'), SSE, {}, ...BEGUN, ...failed(broken))).toMatchObject({ is_turned_away: false })
})

test('a whole response that says so was made, and may have been billed', () => {
  const made = JSON.stringify({ id: 'resp_1', object: 'response', status: 'failed', error: noRoom, output: [] })
  expect(meter(operation('responses'), JSON_ANSWER, {}, bytesOf(made))).toMatchObject({ is_turned_away: false })
})

test('a background response goes on whatever the stream of its first answer says', () => {
  const begun = meter(
    operation('responses'),
    SSE,
    { background: true },
    ...BEGUN,
    data({ type: 'error', error: noRoom }),
  )
  expect(begun).toMatchObject({ is_turned_away: false, continues_as: 'resp_1' })
})

test('Azure bills inputs that are too long, but not for want of quota or room', () => {
  const AZURE = { AZURE_API_KEY: 'k', AZURE_BASE_URL: 'https://acme.openai.azure.com/openai/v1' }
  const [azure] = compatibleProviders.parse(AZURE)
  const responses = find(openAICompatible(azure ?? expect.unreachable()).operations, 'responses')
  expect(meter(responses, SSE, {}, ...BEGUN, ...failed(tooLong))).toMatchObject({ is_turned_away: false })
  expect(meter(responses, SSE, {}, ...BEGUN, ...failed(noQuota))).toMatchObject({ is_turned_away: true })
  expect(meter(responses, SSE, {}, ...BEGUN, ITEM, ...failed(noQuota))).toMatchObject({ is_turned_away: false })
})
