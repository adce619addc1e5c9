// Answers that come whole and tell of their usage what nobody expects: none at all, or more than the call was bounded by.
// What goes wrong on the way is in faults-*.test.ts.

import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { tokensOfBody } from '../../src/providers/text-bound.ts'
import {
  answerWith,
  bodyOf,
  bytesOf,
  capOf,
  GENEROUS,
  NOTHING_USED,
  onlyEvent,
  type Provider,
  post,
} from '../support/client-calls.ts'
import { type Gateway, startGateway } from '../support/gateway.ts'
import { without } from '../support/script-changes.ts'

let gateway: Gateway
beforeAll(async () => {
  gateway = await startGateway()
})
afterEach(() => {
  gateway.provider.reply = undefined
})
afterAll(() => gateway.close())

test.each([
  ['openai', 429],
  ['anthropic', 402],
] satisfies [Provider, number][])(
  '%s: a provider that bills more than its bound is counted in full and marked as an overrun',
  async (provider, refused) => {
    const { id, key } = await gateway.admin.user([{ cap_type: 'daily', limits: { tokens: 2_000 } }])
    answerWith(gateway, (usual) => ({
      ...usual,
      steps: usual.steps.map((step) => String(step).replace(/"(completion_tokens|output_tokens)":10/, '"$1":5000')),
    }))
    await (await post(gateway, provider, key, bodyOf(provider))).text()

    expect(await onlyEvent(gateway, id)).toMatchObject({
      usage_source: 'reported',
      output_tokens: 5_000,
      overrun: true,
    })
    expect((await post(gateway, provider, key, bodyOf(provider))).status).toBe(refused)
  },
)

const PHOTO = 'A'.repeat(1_000_000)
const user = (part: string, content: object) => [{ role: 'user', [part]: [content] }]

test.each([
  [
    '/openai/v1/chat/completions',
    bodyOf('openai', {
      model: 'gpt-4o',
      messages: user('content', { type: 'image_url', image_url: { url: `data:image/png;base64,${PHOTO}` } }),
    }),
  ],
  [
    '/anthropic/v1/messages',
    bodyOf('anthropic', {
      messages: user('content', { type: 'image', source: { type: 'base64', media_type: 'image/png', data: PHOTO } }),
    }),
  ],
  [
    '/gemini/v1beta/models/gemini-2.5-flash:generateContent',
    { contents: user('parts', { inlineData: { mimeType: 'image/png', data: PHOTO } }) },
  ],
  [
    '/bedrock/model/us.anthropic.claude-haiku-4-5-20251001-v1:0/converse',
    {
      messages: user('content', { image: { format: 'png', source: { bytes: PHOTO } } }),
      inferenceConfig: { maxTokens: 9 },
    },
  ],
])(
  'a photo that is sent along is no accident: at %s the fake provider takes it, and bills it within its hold',
  async (path, body) => {
    const { id, key } = await gateway.admin.user(GENEROUS)
    const headers = { 'anthropic-version': '2023-06-01' }
    const answer = await post(gateway, 'openai', key, body, { path, headers })
    expect([answer.status, await onlyEvent(gateway, id)]).toMatchObject([
      200,
      { usage_source: 'reported', overrun: false },
    ])
  },
)

test('an OpenAI stream without usage is bounded by what was seen', async () => {
  const { id, key } = await gateway.admin.user(GENEROUS)
  const { last } = answerWith(gateway, (usual) => without(usual, '"usage":{'))
  const body = bodyOf('openai', { max_tokens: 5_000, stream: true })
  await (await post(gateway, 'openai', key, body)).text()

  const sent = bytesOf(last()).toString()
  const text = [...sent.matchAll(/"content":"([^"]*)"/g)].map(([, piece]) => piece).join('')
  const event = await onlyEvent(gateway, id)
  expect(event).toMatchObject({ usage_source: 'estimated', outcome: 'settled', overrun: false, error_class: null })
  expect(event.input_tokens).toBe(tokensOfBody(body, JSON.stringify(body).length))
  expect(event.output_tokens).toBeGreaterThanOrEqual(text.length)
  expect(event.output_tokens).toBeLessThan(text.length + 50)
  expect(await capOf(gateway, id)).toMatchObject({
    held: NOTHING_USED,
    current_usage: { tokens: event.input_tokens + event.output_tokens },
  })
})
