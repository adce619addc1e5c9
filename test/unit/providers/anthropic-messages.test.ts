import { describe, expect, test } from 'vitest'
import { editMessage, readMessageBound } from '../../../src/providers/anthropic-messages.ts'
import type { Bound, JsonObject } from '../../../src/providers/dialect.ts'
import { size, tokensOf } from './sizes.ts'

const BODY = { model: 'claude-sonnet-4-5', max_tokens: 1_000, messages: [{ role: 'user', content: 'Hello' }] }

function bound(extra: JsonObject): Bound {
  const body = { ...BODY, ...extra }
  const read = readMessageBound(body, size(body))
  if ('code' in read) throw new Error(read.message)
  return read
}

const user = (...content: unknown[]) => ({ messages: [{ role: 'user', content }] })

describe('wrong fields are named', () => {
  test.each([
    ['max_tokens', undefined],
    ['max_tokens', null],
    ['max_tokens', -1],
    ['max_tokens', '10'],
    ['max_tokens', 1.5],
    ['max_tokens', JSON.parse('1e400')],
    ['model', 5],
    ['messages', {}],
    ['stream', 1],
    ['thinking', 'on'],
    ['tools', {}],
  ])('%s: %j', (field, value) => {
    expect(readMessageBound({ ...BODY, [field]: value }, 100)).toMatchObject({ code: 'invalid_request', field })
  })

  test('a max_tokens of 0, which fills the cache and answers nothing, is not wrong', () => {
    expect(bound({ max_tokens: 0 }).output).toEqual({ max_tokens: 0, min_tokens: 0, choices: 1 })
    expect(editMessage({ ...BODY, max_tokens: 0 }, 0)).toEqual([])
  })

  test('thinking.budget_tokens: "many"', () => {
    const thinking = { type: 'enabled', budget_tokens: 'many' }
    expect(readMessageBound({ ...BODY, thinking }, 100)).toMatchObject({ field: 'thinking.budget_tokens' })
  })
})

describe('the output bound', () => {
  test('is max_tokens, which includes thinking', () => {
    expect(bound({}).output).toEqual({ max_tokens: 1_000, min_tokens: 1, choices: 1 })
  })

  test('is of no use unless it is above the thinking budget', () => {
    const thinking = { type: 'enabled', budget_tokens: 2_000 }
    expect(bound({ max_tokens: 5_000, thinking }).output?.min_tokens).toBe(2_001)
    expect(bound({ max_tokens: 1_500, thinking }).output?.min_tokens).toBe(1_500)
    expect(bound({ thinking: { type: 'adaptive' } }).output?.min_tokens).toBe(1)
  })

  test('is written only where it is smaller than the client’s', () => {
    expect(editMessage(BODY, null)).toEqual([])
    expect(editMessage(BODY, 1_000)).toEqual([])
    expect(editMessage(BODY, 999)).toEqual([{ field: 'max_tokens', value: 999 }])
  })
})

describe('the input bound', () => {
  test('is the bytes, and 1,000 more for tools and for each that Anthropic describes itself', () => {
    expect(bound({}).input_tokens).toBe(tokensOf(BODY))
    const tools = [
      { name: 'a', input_schema: {} },
      { type: 'custom' },
      { type: 'bash_20250124' },
      { type: 'computer_20250124' },
    ]
    expect(bound({ tools })).toMatchObject({
      input_tokens: tokensOf({ ...BODY, tools }) + 3_000,
      open_input: null,
      unbounded: null,
    })
  })

  test('takes 5,000 for an inline image, in place of its bytes, also inside a tool result', () => {
    const image = { type: 'image', source: { type: 'base64', media_type: 'image/png', data: 'A'.repeat(20_000) } }
    const body = { ...BODY, ...user(image, { type: 'tool_result', content: [image] }) }
    expect(bound(body)).toMatchObject({ input_tokens: tokensOf(body) - 2 * 15_000, open_input: null })
  })

  test.each([
    ['document', { type: 'document', source: { type: 'content', content: [{ type: 'text', text: 'a' }] } }],
    ['search result', { type: 'search_result', source: 'x', title: 'x', content: [{ type: 'text', text: 'a' }] }],
  ])('has room for the prompt that Anthropic writes where a %s is to be cited', (_, block) => {
    // A recorded answer to such a body of 329 bytes has 566 input tokens:
    // https://github.com/prism-php/prism/blob/main/tests/Fixtures/anthropic/generate-text-with-custom-content-document-citations-1.json
    const body = { ...BODY, ...user({ ...block, citations: { enabled: true } }) }
    expect(bound(body)).toMatchObject({ input_tokens: tokensOf(body) + 1_000, open_input: null })
    const uncited = { ...BODY, ...user({ ...block, citations: { enabled: false } }) }
    expect(bound(uncited).input_tokens).toBe(tokensOf(uncited))
  })

  test('is bytes for text, thinking, tool use, plain documents, search results and the mark of a fallback', () => {
    const content = [
      { type: 'text', text: 'a' },
      { type: 'thinking', thinking: 'b', signature: 'c' },
      { type: 'tool_use', id: 'd', name: 'e', input: {} },
      { type: 'tool_result', content: 'f' },
      { type: 'tool_result' },
      { type: 'document', source: { type: 'text', data: 'g' } },
      { type: 'document', source: { type: 'content', content: [{ type: 'text', text: 'h' }] } },
      { type: 'search_result', source: 'i', content: [{ type: 'text', text: 'j' }] },
      { type: 'fallback', from: { model: 'l' }, to: { model: 'm' } },
    ]
    expect(bound({ ...user(...content), system: [{ type: 'text', text: 'k' }] }).open_input).toBeNull()
  })

  test.each([
    { type: 'url', url: 'https://example.com/a.png' },
    { type: 'file', file_id: 'a' },
  ])('takes 5,000 for an image that is referred to, too, which is not as long as a context window: %j', (source) => {
    const image = { type: 'image', source }
    for (const block of [image, { type: 'tool_result', tool_use_id: 'b', content: [image] }]) {
      const body = { ...BODY, ...user(block) }
      expect(bound(body)).toMatchObject({ open_input: null, input_tokens: tokensOf(body) + 5_000 })
    }
  })

  test.each([
    ['an image from somewhere new', { type: 'image', source: { type: 'bucket', url: 'https://example.com' } }],
    ['a PDF', { type: 'document', source: { type: 'base64', media_type: 'application/pdf', data: 'AA' } }],
    ['a document by URL', { type: 'document', source: { type: 'url', url: 'https://example.com' } }],
    ['a container upload', { type: 'container_upload', file_id: 'a' }],
    [
      'a text that is to be cited',
      { type: 'document', source: { type: 'text', data: 'a' }, citations: { enabled: true } },
    ],
    ['something new', { type: 'hologram' }],
    ['a tool that Anthropic looks up', { type: 'tool_reference', tool_name: 'a' }],
    ['no object', 'text'],
    ['a PDF in a result', { type: 'tool_result', content: [{ type: 'document', source: { type: 'url' } }] }],
    ['a PDF in a document', { type: 'document', source: { type: 'content', content: [{ type: 'document' }] } }],
  ])('is open for %s', (_, block) => {
    expect(bound(user({ type: 'text', text: 'a' }, block)).open_input).toMatch(/^messages\[0\]\.content\[1\]/)
  })

  test.each([{}, { type: 'custom' }, { type: null }])(
    'takes a reference to a tool of `tools` for its definition, each time: %j',
    (type) => {
      const tool = {
        ...type,
        name: 'a',
        description: 'é'.repeat(500),
        input_schema: { type: 'object' },
        defer_loading: true,
      }
      const reference = { type: 'tool_reference', tool_name: 'a' }
      const content = user({ type: 'tool_result', tool_use_id: 'b', content: [reference, reference] })
      const body = { ...BODY, ...content, tools: [tool] }
      const { input_tokens, open_input } = bound(body)
      expect(open_input).toBeNull()
      expect(input_tokens - tokensOf(body) - 1_000).toBe(2 * tokensOf({ tools: [tool] }) - 2 * '{"tools":[]}'.length)
    },
  )

  test.each([
    ['of another name', { name: 'b' }],
    ['of Anthropic’s own', { type: 'memory_20250818', name: 'a' }],
  ])('is open for a reference to a tool %s', (_, tool) => {
    const reference = { type: 'tool_reference', tool_name: 'a' }
    expect(bound({ ...user(reference), tools: [tool] }).open_input).toBe('messages[0].content[0]')
  })

  test('is open for toolsets, messages and systems that are not understood', () => {
    expect(bound({ tools: [{ type: 'computer_toolset_20260801' }] }).open_input).toBe('tools[0]')
    expect(bound({ messages: [7] }).open_input).toBe('messages[0]')
    expect(bound({ system: { a: 1 } }).open_input).toBe('system')
  })

  test('survives nesting of any depth', () => {
    let block: JsonObject = { type: 'text', text: 'a' }
    for (let depth = 0; depth < 20_000; depth++) block = { type: 'tool_result', content: [block] }
    const read = readMessageBound({ ...BODY, ...user(block) }, 100)
    expect(read).toMatchObject({ open_input: null })
  })
})

describe('tools that Anthropic runs', () => {
  const search = (more: object = {}) => ({ type: 'web_search_20250305', name: 'web_search', ...more })
  const fetches = (more: object = {}) => ({ type: 'web_fetch_20250910', name: 'web_fetch', ...more })

  test('are bounded by max_uses: a round of input and output each, a fee for each search, and open input', () => {
    expect(bound({ tools: [search({ max_uses: 3 }), fetches({ max_uses: 2 })] })).toMatchObject({
      unbounded: null,
      open_input: 'tools[0]',
      rounds: 6,
      web_search_requests: 3,
      output: { max_tokens: 1_000, choices: 6 },
    })
    expect(bound({})).toMatchObject({ rounds: 1, web_search_requests: 0 })
  })

  test('are not where they have no max_uses, or where code may call them', () => {
    expect(bound({ tools: [search()] }).unbounded).toBe('tools[0]')
    const newer = { type: 'web_search_20260209', name: 'web_search', max_uses: 3 }
    expect(bound({ tools: [newer] }).unbounded).toBe('tools[0]')
    expect(bound({ tools: [{ ...newer, allowed_callers: ['direct'] }] })).toMatchObject({ unbounded: null, rounds: 4 })
    const called = search({ max_uses: 3, allowed_callers: ['direct', 'code_execution_20250825'] })
    expect(bound({ tools: [called] }).unbounded).toBe('tools[0]')
    expect(bound({ tools: [search({ max_uses: 3 }), { type: 'tool_search_tool_bm25_20251119' }] }).unbounded).toBe(
      'tools[1]',
    )
  })

  test.each([0, -1, 1.5, '3', 1_001])('with max_uses %j are refused by name', (max_uses) => {
    const tools = [{ name: 'a' }, search({ max_uses })]
    expect(readMessageBound({ ...BODY, tools }, 100)).toMatchObject({ field: 'tools[1].max_uses' })
  })
})

describe('what nothing bounds is named', () => {
  test.each([
    [{ tools: [{ type: 'web_search_20250305', name: 'web_search' }] }, 'tools[0]'],
    [{ tools: [{ name: 'a' }, { type: 'code_execution_20250825' }] }, 'tools[1]'],
    [{ tools: [{ type: 'web_fetch_20250910' }] }, 'tools[0]'],
    [{ tools: [{ type: 'mcp_toolset' }] }, 'tools[0]'],
    [{ tools: [{ type: 'something_new' }] }, 'tools[0]'],
    [{ tools: ['bash_20250124'] }, 'tools[0]'],
    [{ mcp_servers: [{ url: 'https://example.com' }] }, 'mcp_servers'],
    [{ container: 'c' }, 'container'],
    [{ fallbacks: 'default' }, 'fallbacks'],
    [{ compaction: { type: 'summarize' } }, 'compaction'],
    [{ thread: { type: 'continue' } }, 'thread'],
    [{ context_management: { edits: [{ type: 'compact_20260112' }] } }, 'context_management'],
    [{ a_new_field: true }, 'a_new_field'],
  ])('%j', (extra, name) => {
    expect(bound(extra).unbounded).toBe(name)
  })

  const brought = (tool: JsonObject) => [
    { role: 'user', content: 'news?' },
    {
      role: 'system',
      content: [
        { type: 'text', text: 'x' },
        { type: 'tool_addition', tool },
      ],
    },
  ]
  const definition = { type: 'web_search_20260318', name: 'web_search' }

  test('a tool that a message brings by value', () => {
    expect(bound({ messages: brought({ type: 'tool_definition', definition }) }).unbounded).toBe(
      'messages[1].content[1]',
    )
    const change = { type: 'tool_addition', tool: { type: 'tool_definition', definition } }
    const compaction = { role: 'user', content: [{ type: 'compaction', tool_changes: [change] }] }
    expect(bound({ messages: [compaction] }).unbounded).toBe('messages[0].content[0]')
  })

  test.each([
    [{ name: 'look_up', input_schema: { type: 'object' } }, 1_000],
    [{ type: 'custom', name: 'look_up', input_schema: { type: 'object' } }, 1_000],
    [{ type: 'bash_20250124', name: 'bash' }, 2_000],
  ])('not so for one that the client runs: %j', (definition, added) => {
    const messages = brought({ type: 'tool_definition', definition })
    const { input_tokens, open_input, unbounded } = bound({ messages })
    expect({ open_input, unbounded }).toEqual({ open_input: null, unbounded: null })
    expect(input_tokens).toBe(tokensOf({ ...BODY, messages }) + added)
  })

  test('one of `tools` that a message brings by name is taken for its definition, once more', () => {
    const tool = { name: 'a', description: 'é'.repeat(500), input_schema: { type: 'object' }, defer_loading: true }
    const body = { ...BODY, messages: brought({ type: 'tool_reference', name: 'a' }), tools: [tool] }
    const { input_tokens, open_input, unbounded } = bound(body)
    expect({ open_input, unbounded }).toEqual({ open_input: null, unbounded: null })
    const definition = tokensOf({ tools: [tool] }) - '{"tools":[]}'.length
    expect(input_tokens).toBe(tokensOf(body) + 1_000 + definition + 1_000)
  })

  test.each([
    ['that `tools` has not', { type: 'tool_reference', name: 'b' }],
    ['of a server', { type: 'mcp_tool_reference', server_name: 'b', name: 'a' }],
  ])('one by name %s is open', (_, tool) => {
    expect(bound({ messages: brought(tool), tools: [{ name: 'a' }] }).open_input).toBe('messages[1].content[1]')
  })

  test('one that a message takes away is bounded', () => {
    const taken = { type: 'tool_removal', tool: { type: 'tool_reference', name: 'a' } }
    const messages = [
      { role: 'user', content: 'news?' },
      { role: 'system', content: [taken] },
    ]
    const { input_tokens, open_input } = bound({ messages })
    expect(open_input).toBeNull()
    expect(input_tokens).toBe(tokensOf({ ...BODY, messages }) + 1_000)
    expect(bound(user({ type: 'tool_removal', tool: 'a' })).open_input).toBe('messages[0].content[0]')
  })

  test('one that takes the place of a smaller one of its name is what a reference stands for', () => {
    const tool = (description: string) => ({ name: 'look_up', description, input_schema: { type: 'object' } })
    const definition = tool('a'.repeat(5_000))
    const result = {
      type: 'tool_result',
      tool_use_id: 'a',
      content: [{ type: 'tool_reference', tool_name: 'look_up' }],
    }
    const messages = [...brought({ type: 'tool_definition', definition }), { role: 'user', content: [result] }]
    const body = { messages, tools: [tool('')] }
    expect(bound(body).input_tokens).toBeGreaterThan(tokensOf({ ...BODY, ...body }) + 5_000)
  })

  test.each(['tool_reference', 'mcp_tool_reference', 'mcp_toolset_reference'])('not so for a %s', (type) => {
    expect(bound({ messages: brought({ type, name: 'a' }) }).unbounded).toBeNull()
  })

  test('not so for fields that ask for nothing, or clear the context', () => {
    const context_management = { edits: [{ type: 'clear_tool_uses_20250919' }] }
    expect(bound({ mcp_servers: [], container: null, context_management }).unbounded).toBeNull()
  })

  test.each(['self', 'user_profile'])('not so for who is billed: %s', (bill_to) => {
    expect(bound({ billing_policy: { type: 'billing_policy', bill_to } })).toEqual({
      ...bound({}),
      input_tokens: expect.any(Number),
    })
  })

  test("not so for the check of tools that Claude Code's auto mode asks for, which is free; another may not be", () => {
    const safeguard = { type: 'dangerous_tool_use', classifier_context: { v: 1, permission_mode: 'auto' } }
    expect(bound({ safeguards: [safeguard] })).toEqual({ ...bound({}), input_tokens: expect.any(Number) })
    for (const safeguards of [[safeguard, { type: 'deep_review' }], [{}], ['dangerous_tool_use'], safeguard, true])
      expect(bound({ safeguards }).unbounded).toBe('safeguards')
    for (const safeguards of [null, []]) expect(bound({ safeguards }).unbounded).toBeNull()
  })

  test('not so for the credit of a refused message, which only makes its cache cheaper', () => {
    expect(bound({ fallback_credit_token: 'a' }).unbounded).toBeNull()
    expect(bound({ fallback_credit_token: { token: 'a', mode: 'best_effort' } }).unbounded).toBeNull()
  })
})

test('cache writes are bounded by the longest time to live, wherever it hides', () => {
  const cached = (cache_control: unknown) =>
    user({ type: 'tool_result', content: [{ type: 'text', text: 'a', cache_control }] })
  expect(bound({}).cache_write).toBe('none')
  expect(bound(cached(null)).cache_write).toBe('none')
  expect(bound(cached({ type: 'ephemeral' })).cache_write).toBe('5m')
  expect(bound(cached({ type: 'ephemeral', ttl: '1h' })).cache_write).toBe('1h')
  expect(bound(cached({ type: 'ephemeral', ttl: '24h' })).cache_write).toBe('1h')
  expect(bound({ cache_control: { type: 'ephemeral' }, ...cached({ type: 'ephemeral', ttl: '1h' }) }).cache_write).toBe(
    '1h',
  )
  expect(bound({ tools: [{ name: 'a', cache_control: { type: 'ephemeral' } }] }).cache_write).toBe('5m')
})

test.each([
  [{}, 'us'],
  [{ inference_geo: 'global' }, null],
  [{ inference_geo: 'global', speed: 'fast' }, 'fast'],
  [{ speed: 'fast' }, 'fast_us'],
  [{ speed: 'ludicrous' }, 'fast_us'],
  [{ speed: 'standard', inference_geo: 'us' }, 'us'],
])('%j may cost as much as %s', (extra, tier) => {
  expect(bound(extra).service_tier).toBe(tier)
})
