// The operator may choose the status of an exceeded cap: for clients that obey no `x-should-retry`.

import Anthropic from '@anthropic-ai/sdk'
import OpenAI from 'openai'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { anthropicOf, bodyOf, failure, openaiOf } from '../support/client-calls.ts'
import { type Gateway, startGateway } from '../support/gateway.ts'

let gateway: Gateway
beforeAll(async () => {
  gateway = await startGateway({ vars: { CAP_STATUS: '403' } })
})
afterAll(() => gateway.close())

test('with CAP_STATUS 403 both dialects refuse with it, once, and still tell the cap’s facts', async () => {
  const { key } = await gateway.admin.user([{ cap_type: 'hourly', limits: { requests: 0 } }])
  const openai = openaiOf(gateway, key)
  const anthropic = anthropicOf(gateway, key)

  const ours = await failure(openai.client.chat.completions.create(bodyOf('openai')))
  const theirs = await failure(anthropic.client.messages.create(bodyOf('anthropic')))

  const cap = { cap_type: 'hourly', limit_type: 'requests', current_usage: 0, limit: 0 }
  expect(ours).toBeInstanceOf(OpenAI.PermissionDeniedError)
  expect(ours).toMatchObject({ status: 403, code: 'insufficient_quota', error: { cap } })
  expect(theirs).toBeInstanceOf(Anthropic.PermissionDeniedError)
  expect(theirs).toMatchObject({ status: 403, error: { error: { type: 'billing_error', cap } } })
  expect([openai.attempts.length, anthropic.attempts.length]).toEqual([1, 1])
})
