// How Tollgate says no where a provider's own clients read errors in another place than OpenAI's.

import { expect, test } from 'vitest'
import { ERROR_STATUS, type ErrorCode } from '../../../../src/errors.ts'
import { compatibleProviders } from '../../../../src/providers/compatible/configured.ts'
import { openAICompatible } from '../../../../src/providers/openai-compatible.ts'

async function refused(name: string, code: ErrorCode, cap_status?: number) {
  const [provider] = compatibleProviders.parse({ [`${name.toUpperCase()}_API_KEY`]: 'sk' })
  const dialect = openAICompatible(provider ?? expect.unreachable(name))
  const answer = dialect.errorResponse({ code, message: 'No.', field: 'f' }, 'req_1', cap_status)
  return { status: answer.status, ...((await answer.json()) as { message?: string; error: Record<string, unknown> }) }
}

test("OpenRouter's clients ask again at any 5xx: those are what was never forwarded and a moment may mend", async () => {
  const codes = Object.keys(ERROR_STATUS) as ErrorCode[]
  const answers = await Promise.all(codes.map((code) => refused('openrouter', code)))
  expect(codes.filter((_, at) => (answers[at]?.status ?? 0) >= 500).sort()).toEqual([
    'database_unavailable',
    'keys_unavailable',
    'ledger_unavailable',
    'not_yet_in_force',
    'prices_unavailable',
  ])
  expect(await refused('openrouter', 'internal_error')).toMatchObject({ status: 424 })
  expect(await refused('openrouter', 'ledger_unavailable')).toMatchObject({ status: 503 })
})

test('and read no error whose code is not its status: what OpenAI’s would be stands beside it', async () => {
  expect(await refused('openrouter', 'upstream_timeout')).toEqual({
    status: 424,
    error: {
      message: 'No.',
      type: 'server_error',
      param: 'f',
      code: 424,
      metadata: { code: 'upstream_timeout' },
    },
  })
  const error = { code: 402, metadata: { code: 'insufficient_quota' } }
  expect(await refused('openrouter', 'cap_exceeded', 402)).toMatchObject({ status: 402, error })
})

test("Mistral's clients read an error's fields beside it, others inside of it", async () => {
  const error = { message: 'No.', type: 'invalid_request_error', param: 'f', code: 'unbounded_request' }
  expect(await refused('mistral', 'unbounded_request')).toEqual({ status: 400, object: 'error', ...error, error })
})
