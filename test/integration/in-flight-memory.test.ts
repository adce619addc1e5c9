// What calls in flight keep of what they were sent: an isolate has 128 MB for all that it serves, and an answer may take
// minutes.

import { afterAll, beforeAll, expect, test } from 'vitest'
import { AWS_KEYS } from '../../src/local/fake-provider.ts'
import { sampleMemory } from '../fuzz/memory.ts'
import { eventually, type Gateway, startGateway } from '../support/gateway.ts'
import { holdAnswers, times } from '../support/held-calls.ts'

const CALLS = 6
const BODY_MB = 2
const content = 'tell '.repeat((BODY_MB * 1e6) / 5)
const messages = [{ role: 'user', content }]
const contents = [{ role: 'user', parts: [{ text: content }] }]
const converse = { messages: [{ role: 'user', content: [{ text: content }] }], inferenceConfig: { maxTokens: 16 } }

let gateway: Gateway
let key: string

beforeAll(async () => {
  // Without its API key Bedrock's requests are signed.
  const vars = {
    BEDROCK_API_KEY: '',
    AWS_ACCESS_KEY_ID: AWS_KEYS.id,
    AWS_SECRET_ACCESS_KEY: AWS_KEYS.secret,
    BEDROCK_MODELS: JSON.stringify({ 'claude-on-bedrock': 'us.anthropic.claude-sonnet-4-5-20250929-v1:0' }),
  }
  gateway = await startGateway({ inspect: true, vars })
  const limits = { tokens: 1_000_000_000, cost_usd: 10_000 }
  key = (await gateway.admin.user([{ cap_type: 'daily', limits }])).key
})
afterAll(() => gateway.close())

function transcription(): FormData {
  const form = new FormData()
  form.set('model', 'gpt-4o-transcribe')
  form.set('file', new Blob([content]), 'speech.wav')
  return form
}

async function liveMb(): Promise<number> {
  const { heap_mb, buffers_mb } = await sampleMemory(await gateway.inspector(), 0)
  return heap_mb + buffers_mb
}

test.each<[name: string, path: string, body: object]>([
  ['a completion', '/openai/v1/chat/completions', { model: 'gpt-4.1', max_tokens: 16, messages }],
  ['its stream', '/openai/v1/chat/completions', { model: 'gpt-4.1', max_tokens: 16, messages, stream: true }],
  ['a response', '/openai/v1/responses', { model: 'gpt-4.1', max_output_tokens: 16, input: messages }],
  ['its stream', '/openai/v1/responses', { model: 'gpt-4.1', max_output_tokens: 16, input: messages, stream: true }],
  ['a message', '/anthropic/v1/messages', { model: 'claude-sonnet-4-5', max_tokens: 16, messages }],
  ['its stream', '/anthropic/v1/messages', { model: 'claude-sonnet-4-5', max_tokens: 16, messages, stream: true }],
  ['one of Bedrock', '/anthropic/v1/messages', { model: 'claude-on-bedrock', max_tokens: 16, messages }],
  ['its stream', '/anthropic/v1/messages', { model: 'claude-on-bedrock', max_tokens: 16, messages, stream: true }],
  ['a conversation', '/bedrock/model/amazon.nova-pro-v1:0/converse', converse],
  ['its stream', '/bedrock/model/amazon.nova-pro-v1:0/converse-stream', converse],
  ['content', '/gemini/v1beta/models/gemini-2.5-flash:generateContent', { contents }],
  ['its stream', '/gemini/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse', { contents }],
  ['an upload', '/openai/v1/audio/transcriptions', transcription()],
  ['any provider', '/v1/chat/completions', { model: 'openai/gpt-4.1', max_tokens: 16, messages, stream: true }],
])('nothing: %s, %s', async (_, path, body) => {
  const isForm = body instanceof FormData
  const call = () =>
    fetch(gateway.url + path, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${key}`,
        'anthropic-version': '2023-06-01',
        ...(!isForm && { 'content-type': 'application/json' }),
      },
      body: isForm ? body : JSON.stringify(body),
    })
  const first = await call()
  expect([first.status, await first.text()]).toEqual([200, expect.anything()])

  const before = await liveMb()
  const sent = gateway.provider.requests.length
  const gate = holdAnswers(gateway.provider)
  const calls = times(CALLS, call)
  const areHeld = await eventually(
    async () => gateway.provider.requests.length - sent === CALLS,
    (held) => held,
  )
  const grown = (await liveMb()) - before
  gate.open()
  for (const answer of calls) await (await answer).text()
  expect(areHeld).toBe(true)
  expect(grown).toBeLessThan(BODY_MB / 2)
})
