// What calls in flight keep of what they were sent: an isolate has 128 MB for all that it serves, and an answer may take
// minutes.

import { afterAll, beforeAll, expect, test } from 'vitest'
import { AWS_KEYS } from '../../src/local/fake-provider.ts'
import { json } from '../../src/local/fake-script.ts'
import { sampleMemory } from '../fuzz/memory.ts'
import { bundle } from '../support/build.ts'
import { eventually, type Gateway, startGateway } from '../support/gateway.ts'
import { chat, holdAnswers, times } from '../support/held-calls.ts'
import type { UsageLedger } from '../support/waiting-ledger-worker.ts'

const CALLS = 6
const BODY_MB = 2
const content = 'tell '.repeat((BODY_MB * 1e6) / 5)
const messages = [{ role: 'user', content }]
const contents = [{ role: 'user', parts: [{ text: content }] }]
const converse = { messages: [{ role: 'user', content: [{ text: content }] }], inferenceConfig: { maxTokens: 16 } }

let gateway: Gateway
let user: { id: string; key: string }

beforeAll(async () => {
  const worker = bundle('test/support/waiting-ledger-worker.ts')
  // Without its API key Bedrock's requests are signed.
  const vars = {
    BEDROCK_API_KEY: '',
    AWS_ACCESS_KEY_ID: AWS_KEYS.id,
    AWS_SECRET_ACCESS_KEY: AWS_KEYS.secret,
    BEDROCK_MODELS: JSON.stringify({ 'claude-on-bedrock': 'us.anthropic.claude-sonnet-4-5-20250929-v1:0' }),
  }
  gateway = await startGateway({ inspect: true, worker, vars })
  const limits = { tokens: 1_000_000_000, cost_usd: 10_000 }
  user = await gateway.admin.user([{ cap_type: 'daily', limits }])
})
afterAll(() => gateway.close())

function transcription(): FormData {
  const form = new FormData()
  form.set('model', 'gpt-4o-transcribe')
  form.set('file', new Blob([content]), 'speech.wav')
  return form
}

async function liveMb(): Promise<number> {
  const { heap_mb, buffers_mb } = await sampleMemory(gateway, 0)
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
        authorization: `Bearer ${user.key}`,
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
  await eventually(
    async () => gateway.provider.requests.length - sent,
    (held) => held === CALLS,
  )
  const grown = (await liveMb()) - before
  gate.open()
  for (const answer of calls) await (await answer).text()
  expect(grown).toBeLessThan(BODY_MB / 2)
})

/** Of text as it mostly is: one character beyond Latin-1 makes that of the whole body take two bytes a character. */
const turns = times(2_000, (at) => ({
  role: at % 2 ? 'assistant' : 'user',
  content: `${'tell '.repeat(200)}${at % 9 ? '' : '\u{1f600}'}`,
}))

const sessionOf = (id?: string): Record<string, string> => (id ? { 'x-tollgate-session-id': id } : {})

/** What calls keep that wait for their ledger, in MB. */
async function keptWhileWaiting(call: (session?: string) => Promise<Response>, session: string): Promise<number> {
  await (await call()).text()
  const ledger = (await gateway.ledgerOf(user.id)) as unknown as Pick<UsageLedger, 'waiting' | 'letIn'>

  const before = await liveMb()
  const calls = times(CALLS, async () => (await call(session)).text())
  const waiting = await eventually(
    () => ledger.waiting(),
    (count) => count === CALLS,
  )
  const grown = (await liveMb()) - before
  await ledger.letIn()
  await Promise.all(calls)
  expect(waiting).toBe(CALLS)
  return grown
}

test('while its ledger decides a call keeps its body once as it came and once parsed, and not as text besides', async () => {
  const body = { model: 'gpt-4.1', messages: turns, stream: true }
  const kept = await keptWhileWaiting(
    (session) => chat(gateway, user.key, { body, headers: sessionOf(session) }),
    'waits',
  )
  expect(kept).toBeLessThan(CALLS * BODY_MB * 2.5)
})

test('while its ledger records a call that has reached its end, it keeps nothing of an answer that has gone out', async () => {
  const before = gateway.provider.reply
  gateway.provider.reply = ({ body }, usual) => {
    const isLong = body.includes('at length')
    return isLong ? json({ choices: [{ index: 0, message: { role: 'assistant', content } }] }) : usual()
  }
  const body = { messages: [{ role: 'user', content: 'at length' }] }
  const call = (session?: string) => chat(gateway, user.key, { body, headers: sessionOf(session) })
  const kept = await keptWhileWaiting(call, 'waits-at-end')
  gateway.provider.reply = before
  expect(kept).toBeLessThan((CALLS * BODY_MB) / 2)
})
