// A meter that says that a stream is over is asked no more. What comes in the same piece, behind the end, must not count either:
// the network decides what comes in one piece.

import { describe, expect, test } from 'vitest'
import { anthropic } from '../../../src/providers/anthropic.ts'
import { concatBytes } from '../../../src/providers/bytes.ts'
import { providerSchema } from '../../../src/providers/compatible/provider.ts'
import type { AnswerHead, Dialect, Meter, Operation } from '../../../src/providers/dialect.ts'
import { exceptionFrame, jsonFrame } from '../../../src/providers/eventstream.ts'
import { openAICompatible } from '../../../src/providers/openai-compatible.ts'
import { chunkFrame, operationOf } from './bedrock-vectors.ts'
import { operation } from './openai-operations.ts'
import { askedWith, headOf } from './replay.ts'

const data = (value: object | string) =>
  new TextEncoder().encode(`data: ${typeof value === 'string' ? value : JSON.stringify(value)}\n\n`)
const ERROR = data({ type: 'error', error: { type: 'server_error', message: 'No.' } })
/** Cannot be read. */
const CUT = data('{"type":')

const chat = (more: object) =>
  data({ choices: [{ index: 0, delta: { content: 'x' }, finish_reason: 'stop' }], ...more })
const chatUsage = (completion_tokens: number) => ({ usage: { prompt_tokens: 9, completion_tokens } })
const DONE = data('[DONE]')
const response = (more: object) =>
  data({ type: 'response.completed', response: { id: 'r', status: 'completed', error: null, output: [], ...more } })
const usage = (output_tokens: number) => ({ usage: { input_tokens: 9, output_tokens } })
const image = (more: object) => data({ type: 'image_generation.completed', ...more })
const transcript = (more: object) => data({ type: 'transcript.text.done', text: 'x', ...more })
const spoken = (more: object) => data({ type: 'speech.audio.done', ...more })
const metadata = (more: object) => jsonFrame({ ':event-type': 'metadata', ':message-type': 'event' }, more)
const converseUsage = (outputTokens: number) => metadata({ usage: { inputTokens: 9, outputTokens } })
const STOPPED = jsonFrame({ ':event-type': 'messageStop', ':message-type': 'event' }, { stopReason: 'end_turn' })
const inChunk = (value: object) => chunkFrame(JSON.stringify(value))
const metrics = (outputTokenCount: number) =>
  inChunk({ 'amazon-bedrock-invocationMetrics': { inputTokenCount: 9, outputTokenCount } })
const THROTTLED = exceptionFrame('throttlingException', 'Too many tokens.')
const NO_FRAME = new Uint8Array(16)
const message = (output_tokens: number) => ({
  type: 'message_delta',
  delta: { stop_reason: 'end_turn' },
  usage: { input_tokens: 9, output_tokens },
})
const STOP = { type: 'message_stop' }

const ACME = { name: 'acme', base_url: 'https://acme.example/v1', quirks: { usage_at: 'x.usage' } }
const find = ({ operations }: Dialect, name: string) =>
  operations.find((one) => one.name === name) ?? expect.unreachable(name)
const acme = find(openAICompatible(providerSchema.parse(ACME)), 'chat_completions')
const messages = find(anthropic, 'messages')
const ask = (format: AnswerHead['format'], operation: Operation, model: string): Meter =>
  operation.meter(askedWith({ model, stream: true, stream_format: 'sse' }, { params: { model } }))(headOf(format))
const openai = (name: string, model: string) => () => ask('sse', operation(name), model)
const bedrock = (name: string, model: string) => () => ask('eventstream', operationOf(name), model)

describe('what comes behind the end of a stream changes nothing', () => {
  test.each<[string, () => Meter, Uint8Array[], Uint8Array[]]>([
    ['a chat', openai('chat_completions', 'gpt-5'), [chat(chatUsage(1)), DONE], [chat(chatUsage(2)), ERROR, CUT]],
    [
      'usage in its own place',
      () => ask('sse', acme, 'm'),
      [chat({ x: chatUsage(1) }), DONE],
      [chat({ x: chatUsage(2) })],
    ],
    ['a response', openai('responses', 'gpt-5'), [response(usage(1))], [response(usage(2)), ERROR, CUT]],
    ['a stored response', openai('responses_get', 'gpt-5'), [response(usage(1))], [response(usage(2)), ERROR, CUT]],
    ['images', openai('images_generations', 'gpt-image-1'), [image(usage(1))], [image(usage(2)), ERROR, CUT]],
    [
      'a transcript',
      openai('audio_transcriptions', 'gpt-4o-transcribe'),
      [transcript(usage(1))],
      [transcript(usage(2)), ERROR, CUT],
    ],
    ['speech', openai('audio_speech', 'gpt-4o-mini-tts'), [spoken(usage(1))], [spoken(usage(2)), ERROR, CUT]],
    [
      'a message',
      () => ask('sse', messages, 'claude-sonnet-4-5'),
      [data(message(1)), data(STOP)],
      [data(message(2)), ERROR, CUT],
    ],
    [
      'Converse',
      bedrock('converse_stream', 'amazon.nova-pro-v1:0'),
      [STOPPED, converseUsage(1)],
      [converseUsage(2), THROTTLED, NO_FRAME],
    ],
    [
      'Claude on Bedrock',
      bedrock('invoke_model_stream', 'anthropic.claude-sonnet-4-5'),
      [inChunk(message(1)), inChunk(STOP)],
      [inChunk(message(2)), THROTTLED, NO_FRAME],
    ],
    [
      'Llama on Bedrock',
      bedrock('invoke_model_stream', 'meta.llama3-1-70b-instruct-v1:0'),
      [metrics(1)],
      [metrics(2), THROTTLED, NO_FRAME],
    ],
  ])('%s', (_name, open, whole, behind) => {
    const read = (pieces: Uint8Array[]) => {
      const meter = open()
      meter.push(concatBytes(pieces))
      expect(meter.ending).toBe('over')
      return meter.end()
    }
    expect(read([...whole, ...behind])).toEqual(read(whole))
  })
})
