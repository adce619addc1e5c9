// Calls that meet an accident: what they keep aside, what they were charged, and how the official SDKs read them.

import Anthropic from '@anthropic-ai/sdk'
import OpenAI from 'openai'
import { expect } from 'vitest'
import type { Script } from '../../src/local/fake-script.ts'
import {
  anthropicOf,
  bodyOf,
  bytesOf,
  capOf,
  failure,
  GENEROUS,
  NOTHING_USED,
  onlyEvent,
  openaiOf,
  type Provider,
  post,
  type UsageEventView,
} from './client-calls.ts'
import { eventually, type Gateway } from './gateway.ts'

export const STREAM = { stream: true }
/** Only the stream that asks for usage passes byte for byte, whatever its provider does. */
export const USAGE_TOO = { stream: true, stream_options: { include_usage: true } }

export const bodyFor = (provider: Provider, more: object) =>
  bodyOf(provider, provider === 'anthropic' && 'stream' in more ? STREAM : more)

/** What a call of this body keeps aside while it is in flight: what it is charged where nothing better is known. */
async function holdOf(at: Gateway, provider: Provider, more: object) {
  const { id, key } = await at.admin.user(GENEROUS)
  const { promise, resolve: open } = Promise.withResolvers<void>()
  at.provider.reply = (_, usual) => ({ steps: [{ until: promise }, ...usual().steps] })
  const answer = post(at, provider, key, bodyFor(provider, more))
  const { held } = await eventually(
    () => capOf(at, id),
    (cap) => cap.held.requests === 1,
  )
  open()
  await (await answer).text()
  return held
}

const amounts = ({ requests, input_tokens, output_tokens, cost_cents }: UsageEventView) => ({
  requests,
  tokens: input_tokens + output_tokens,
  cost_cents,
})

/** The event says what was charged, and the ledger agrees. */
export async function charged(at: Gateway, userId: string) {
  const event = await onlyEvent(at, userId)
  const { current_usage, held } = await capOf(at, userId)
  expect(held).toEqual(NOTHING_USED)
  expect(current_usage).toMatchObject(amounts(event))
  return event
}

export async function chargedHold(at: Gateway, userId: string, provider: Provider, more: object) {
  const event = await charged(at, userId)
  const { requests, tokens, cost_cents } = await holdOf(at, provider, more)
  expect(amounts(event)).toEqual({ requests, tokens, cost_cents })
  expect(event).toMatchObject({ outcome: 'settled', usage_source: 'hold', overrun: false })
  return event
}

/** Reads a stream with the official SDK; returns the text, or throws what the SDK throws. */
export async function streamWithSdk(at: Gateway, provider: Provider, key: string, more: object = {}) {
  let text = ''
  if (provider === 'openai') {
    const { client, attempts } = openaiOf(at, key, { logLevel: 'off' })
    const body = { ...bodyOf('openai'), stream: true as const, ...more }
    for await (const chunk of await client.chat.completions.create(body)) text += chunk.choices[0]?.delta.content ?? ''
    return { text, attempts }
  }
  const { client, attempts } = anthropicOf(at, key, { logLevel: 'off' })
  for await (const event of await client.messages.create({ ...bodyOf('anthropic'), stream: true, ...more }))
    if (event.type === 'content_block_delta' && event.delta.type === 'text_delta') text += event.delta.text
  return { text, attempts }
}

export const isApiError = (error: unknown) => error instanceof OpenAI.APIError || error instanceof Anthropic.APIError

export async function jsonWithSdk(at: Gateway, provider: Provider, key: string) {
  if (provider === 'openai') {
    const { client, attempts } = openaiOf(at, key)
    return { attempts, error: await failure(client.chat.completions.create(bodyOf('openai'))) }
  }
  const { client, attempts } = anthropicOf(at, key)
  return { attempts, error: await failure(client.messages.create(bodyOf('anthropic'))) }
}

/** From now on the provider answers with what `change` makes of the usual answer; returns the text that it sent last. */
export function tell(at: Gateway, change: (usual: Script) => Script): () => string {
  let sent: Script = { steps: [] }
  at.provider.reply = (_, usual) => {
    sent = change(usual())
    return sent
  }
  return () => bytesOf(sent).toString()
}
