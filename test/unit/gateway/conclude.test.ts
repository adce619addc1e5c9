// What a ledger is told of a call that had gone on at its provider.

import { expect, test } from 'vitest'
import { continuedId, toConclusion } from '../../../src/gateway/conclude.ts'
import { NO_USAGE } from '../../../src/providers/answer.ts'
import type { Concluded } from '../../../src/providers/dialect.ts'
import { DRAFT } from '../../support/ledger-fixtures.ts'
import { PRICE } from '../pricing/fixtures.ts'

const USAGE = { ...NO_USAGE, input_tokens: 3_000, cached_input_tokens: 1_000, output_tokens: 10 }
const ENDED: Concluded = {
  id: 'batch_1',
  usage: USAGE,
  longest_input_tokens: null,
  model: 'known',
  service_tier: null,
  error_class: null,
}
const prices = { find: async (_: string, model: string) => (model === 'known' ? PRICE : null) }
const told = (ended: Partial<Concluded>, request_model: string | null = null) =>
  toConclusion({ ...ENDED, ...ended }, request_model, DRAFT, prices)

test('its usage at its price, without the request, which was counted when it was made', async () => {
  expect(await told({})).toMatchObject({
    request_id: continuedId('openai', 'batch_1'),
    usage: { requests: 0, input_tokens: 3_000, output_tokens: 10, cost_nano_usd: 2_000 * 4_000 + 500_000 + 150_000 },
    usage_source: 'reported',
    facts: {
      cached_input_tokens: 1_000,
      response_model: 'known',
      provider_request_id: 'batch_1',
      priced_as: 'test-model',
      price_source: 'catalogue',
    },
  })
})

test('of a batch whose requests were all short, at the rates of short ones, by the tier that answered', async () => {
  const { usage, facts } = await told({ longest_input_tokens: 1_000, service_tier: 'flex' })
  expect(usage?.cost_nano_usd).toBe((2_000 * 2_000 + 1_000 * 500 + 10 * 10_000) / 2)
  expect(facts.service_tier).toBe('flex')
})

test('at the price of the model that was asked for, where that is known: an admin may have set it', async () => {
  const dated = { model: 'known-2026-01-01' }
  expect((await told(dated, 'known')).facts).toMatchObject({ priced_as: 'test-model', response_model: dated.model })
  expect((await told({}, 'unknown')).facts).toMatchObject({ price_source: 'none' })
})

test('without a price no cost, so that what the hold costs is charged: unknown never means free', async () => {
  const unpriced = { usage: { requests: 0, cost_nano_usd: null }, usage_source: 'reported' }
  expect(await told({ model: 'unknown' })).toMatchObject({ ...unpriced, facts: { price_source: 'none' } })
  expect(await told({ model: null })).toMatchObject({ ...unpriced, facts: { price_source: null } })
})

test('what used nothing costs nothing, with or without a price; what is unknown is charged its hold', async () => {
  const nothing = { usage: NO_USAGE, model: null, error_class: 'failed' }
  expect(await told(nothing)).toMatchObject({
    usage: { requests: 0, input_tokens: 0, output_tokens: 0, cost_nano_usd: 0 },
    facts: { error_class: 'failed' },
  })
  expect(await told({ usage: null })).toMatchObject({ usage: null, usage_source: 'hold' })
})

test('one provider’s id is not another’s', () => {
  expect(continuedId('openai', 'batch_1')).not.toBe(continuedId('azure', 'batch_1'))
})

test('of a worker that cannot read the prices nothing: the call stays held for the next answer', async () => {
  const find = () => Promise.reject(new Error('KV is away'))
  await expect(toConclusion(ENDED, 'known', DRAFT, { find })).rejects.toThrow('KV is away')
})
