import { expect, test } from 'vitest'
import { isSameBedrockModel, matchesForSure, modelKey } from '../../../src/pricing/model-id.ts'

const ARN = 'arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-lite-v1:0'

test('an ARN is the id at its end with Bedrock alone', () => {
  expect(modelKey('bedrock', ` ${ARN.toUpperCase()} `)).toBe('amazon.nova-lite-v1:0')
  expect(modelKey('openai', ARN)).toBe(ARN)
})

test.each([
  ['anthropic.claude-opus-4-5-20251101-v1:0', 'us.anthropic.claude-opus-4-5-20251101-v1:0', true],
  ['anthropic.claude-opus-4-5', 'eu.anthropic.claude-opus-4-5-20251101-v1:0', true],
  ['anthropic.claude-opus-4-5-20251101-v1:0', 'anthropic.claude-opus-4-5-20251102-v1:0', false],
  ['anthropic.claude-opus-4-5-20251101-v1:0', 'anthropic.claude-opus-4-5-20251101-v2:0', false],
  ['anthropic.claude-opus-4-5-20251101-v1:0', 'anthropic.claude-opus-4-5-20251101-v1:1', false],
  ['anthropic.claude-opus-4-5', 'anthropic.claude-opus-4-6', false],
  // The cheaper price of the global endpoint is nobody else's; what is not global is dearer than it.
  ['global.anthropic.claude-opus-4-5', 'us.anthropic.claude-opus-4-5', false],
  ['global.anthropic.claude-opus-4-5', 'anthropic.claude-opus-4-5', false],
  ['global.anthropic.claude-opus-4-5', 'global.anthropic.claude-opus-4-5', true],
  ['anthropic.claude-opus-4-5', 'global.anthropic.claude-opus-4-5', true],
  ['amazon.nova-lite', 'eu.amazon.nova-lite-v1:0', false],
])('the entry %s means %s: %s', (entry, id, same) => {
  expect(isSameBedrockModel(entry, id)).toBe(same)
})

test('of patterns that must all match, one has to mean the model for sure', () => {
  const match = { and: [{ starts_with: 'gpt-x' }, { contains: 'mini' }] }
  expect(matchesForSure(match, 'gpt-x-mini')).toBe(false)
  expect(matchesForSure({ and: [{ starts_with: 'gpt-x' }, { ends_with: '-2026-01-01' }] }, 'gpt-x-2026-01-01')).toBe(
    true,
  )
  expect(matchesForSure({ ends_with: 'mini' }, 'gpt-x-mini')).toBe(false)
  expect(matchesForSure({ ends_with: 'mini' }, 'mini')).toBe(true)
})
