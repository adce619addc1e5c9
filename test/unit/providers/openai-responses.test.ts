import { describe, expect, test } from 'vitest'
import type { Bound, JsonObject } from '../../../src/providers/dialect.ts'
import { editResponses, readResponsesBound } from '../../../src/providers/openai-responses.ts'
import { size, tokensOf } from './sizes.ts'

const BODY = { model: 'gpt-4o-mini', input: 'Hello' }

function bound(extra: JsonObject): Bound {
  const body = { ...BODY, ...extra }
  const read = readResponsesBound(body, size(body))
  if ('code' in read) throw new Error(read.message)
  return read
}

const user = (...content: unknown[]) => ({ input: [{ role: 'user', content }] })
const PNG = `data:image/png;base64,${'A'.repeat(1_000)}`

test.each([
  ['model', undefined],
  ['model', 7],
  ['input', 7],
  ['input', {}],
  ['stream', 'yes'],
  ['background', 1],
  ['max_output_tokens', '10'],
  ['max_output_tokens', 0],
  ['max_output_tokens', Number.POSITIVE_INFINITY],
  ['max_tool_calls', -1],
  ['max_tool_calls', 1_001],
  ['tools', {}],
])('a wrong field is named: %s: %j', (field, value) => {
  const body: JsonObject = { ...BODY, [field]: value }
  expect(readResponsesBound(body, 100)).toMatchObject({ code: 'invalid_request', field })
})

test('a plain body is bounded by its bytes and its max_output_tokens', () => {
  const body = { ...BODY, max_output_tokens: 50 }
  expect(bound({ max_output_tokens: 50 })).toMatchObject({
    input_tokens: tokensOf(body),
    open_input: null,
    unbounded: null,
    rounds: 1,
    web_search_requests: 0,
    output: { max_tokens: 50, choices: 1 },
    cache_write: '5m',
    service_tier: 'priority',
  })
  expect(bound({}).output?.max_tokens).toBeNull()
  expect(bound({ service_tier: 'flex' }).service_tier).toBeNull()
  expect(bound({ service_tier: 'fast' })).toMatchObject({ service_tier: 'priority', unbounded: null })
  expect(bound({ service_tier: 'faster' }).unbounded).toBe('service_tier')
})

test('an inline image counts 50,000 tokens in place of its bytes', () => {
  const body = { ...BODY, ...user({ type: 'input_image', image_url: PNG }) }
  expect(bound(body)).toMatchObject({ input_tokens: tokensOf(body) + 50_000 - PNG.length, open_input: null })
  const output = [{ type: 'input_image', image_url: PNG }]
  expect(bound({ input: [{ type: 'function_call_output', call_id: 'c', output }] }).input_tokens).toBeGreaterThan(
    50_000,
  )
})

test('an image by URL, behind which OpenAI takes nothing else, counts as much', () => {
  const body = { ...BODY, ...user({ type: 'input_image', image_url: 'https://example.com/a.png' }) }
  expect(bound(body)).toMatchObject({ input_tokens: tokensOf(body) + 50_000, open_input: null })
  const ofFew = { ...body, model: 'gpt-5' }
  expect(bound(ofFew).input_tokens).toBe(tokensOf(ofFew) + 5_000)
})

test('a screenshot of a computer counts as any other image, and what was done there its bytes', () => {
  const done = { type: 'computer_call', call_id: 'c', action: { type: 'click', x: 1, y: 2 } }
  for (const [image_url, own_bytes] of [
    [PNG, PNG.length],
    ['https://example.com/a.png', 0],
  ] as const) {
    const output = { type: 'computer_screenshot', image_url }
    const body = { ...BODY, input: [done, { type: 'computer_call_output', call_id: 'c', output }] }
    expect(bound(body)).toMatchObject({ input_tokens: tokensOf(body) + 50_000 - own_bytes, open_input: null })
  }
})

test.each([
  [{ previous_response_id: 'resp_1' }, 'previous_response_id'],
  [{ conversation: 'conv_1' }, 'conversation'],
  [user({ type: 'input_image', image_url: 'ftp://example.com/a.png' }), 'input[0].content[0]'],
  [user({ type: 'input_image', file_id: 'file-1' }), 'input[0].content[0]'],
  [user({ type: 'input_image', file_id: 'file-1', image_url: PNG }), 'input[0].content[0]'],
  [user({ type: 'input_file', file_id: 'file-1' }), 'input[0].content[0]'],
  [user({ type: 'input_file', file_id: 'file-1', stdout: '' }), 'input[0].content[0]'],
  [user('text'), 'input[0].content[0]'],
  [{ input: [{ role: 'user', content: {} }] }, 'input[0].content'],
  [{ input: [{ type: 'item_reference', id: 'msg_1' }] }, 'input[0].item_reference'],
  [{ input: [{ id: 'msg_1' }] }, 'input[0]'],
  [{ input: ['text'] }, 'input[0]'],
  [{ input: [{ type: 'reasoning', id: 'rs_1', summary: [] }] }, 'input[0].reasoning'],
  [{ input: [{ type: 'reasoning', id: 'rs_1', summary: [], encrypted_content: null }] }, 'input[0].reasoning'],
  [{ input: [{ type: 'reasoning', id: 'rs_1', summary: [], encrypted_content: '' }] }, 'input[0].reasoning'],
  [{ input: [{ type: 'compaction', encrypted_content: 'x' }] }, 'input[0].compaction'],
  [{ input: [{ type: 'computer_call_output', output: {} }] }, 'input[0].output'],
  [
    { input: [{ type: 'computer_call_output', output: { type: 'computer_screenshot', file_id: 'f' } }] },
    'input[0].output',
  ],
  [{ input: [{ type: 'tool_search_call', execution: 'server', arguments: {} }] }, 'input[0].tool_search_call'],
  [{ input: [{ type: 'tool_search_call', arguments: {} }] }, 'input[0].tool_search_call'],
  [{ input: [{ type: 'agent_message', content: [{ type: 'encrypted_content' }] }] }, 'input[0].content[0]'],
])('what bytes do not bound is named: %j', (extra, name) => {
  expect(bound(extra)).toMatchObject({ open_input: name, unbounded: null })
})

test('audio is unbounded: it has a rate of its own, and no usage says how much there was', () => {
  expect(bound(user({ type: 'input_audio', input_audio: { data: 'AA', format: 'mp3' } }))).toMatchObject({
    unbounded: 'input[0].content[0]',
  })
  const output = [{ type: 'input_audio', input_audio: { data: 'AA', format: 'mp3' } }]
  expect(bound({ input: [{ type: 'function_call_output', call_id: 'c', output }] })).toMatchObject({
    unbounded: 'input[0].output[0]',
  })
})

test('a turn of Codex is bounded by its bytes: encrypted thoughts, calls and searches of tools, agents and its metadata', () => {
  const body = {
    ...BODY,
    store: false,
    include: ['reasoning.encrypted_content'],
    client_metadata: { 'x-codex-installation-id': 'a' },
    input: [
      { role: 'user', content: [{ type: 'input_text', text: 'hello' }] },
      {
        type: 'reasoning',
        id: 'rs_1',
        summary: [{ type: 'summary_text', text: 'a' }],
        content: null,
        encrypted_content: 'gAAAA'.repeat(300),
      },
      { type: 'function_call', call_id: 'c', name: 'shell', arguments: '{}' },
      { type: 'function_call_output', call_id: 'c', output: 'done' },
      { type: 'tool_search_call', call_id: 'd', execution: 'client', status: 'completed', arguments: { query: 'q' } },
      { type: 'agent_message', author: '/root', recipient: '/a', content: [{ type: 'input_text', text: 'go on' }] },
      { type: 'configuration_update', id: 'cu_1', reasoning: { effort: 'high' } },
    ],
  }
  expect(bound(body)).toMatchObject({ input_tokens: tokensOf(body), open_input: null, unbounded: null })
})

test('a configuration update with a schema costs its bytes, and 1,000 tokens', () => {
  const text = { format: { type: 'json_schema', name: 'a', schema: { type: 'object' } } }
  const input = [
    { role: 'user', content: 'a' },
    { type: 'configuration_update', text },
  ]
  const read = bound({ input })
  expect(read).toMatchObject({ unbounded: null, open_input: null })
  expect(read.input_tokens).toBe(tokensOf({ ...BODY, input }) + 1_000)
})

test('longer windows of background calls and compressed images cost no more', () => {
  const image = { context_compression: 'disabled' }
  for (const completion_window of ['soonest', '2h', '8h', null]) {
    const background_options = { completion_window, continuation_id: 'a' }
    expect(bound({ background: true, background_options, image })).toMatchObject({ unbounded: null, open_input: null })
  }
  expect(bound({ background_options: {}, image: null }).unbounded).toBeNull()
})

test('a program of access to cybersecurity chooses neither model nor price', () => {
  for (const access_programs of [{ cyber: 'daybreak_blue' }, null])
    expect(bound({ access_programs })).toMatchObject({ unbounded: null, open_input: null })
})

test('scores of input and output by a free model cost no more', () => {
  const moderation = { model: 'omni-moderation-latest', policy: { output: { mode: 'score' } } }
  expect(bound({ moderation })).toMatchObject({ unbounded: null, open_input: null })
})

test.each([
  [{ prompt: { id: 'pmpt_1' } }, 'prompt'],
  [{ context_management: [{ type: 'compaction' }] }, 'context_management'],
  [{ moderation: { model: 'gpt-5' } }, 'moderation'],
  [{ a_new_field: 1 }, 'a_new_field'],
  [{ Max_Output_Tokens: 1 }, 'Max_Output_Tokens'],
  [{ reasoning: { mode: 'pro' } }, 'reasoning.mode'],
  [{ model: 'o3-deep-research' }, 'model'],
  [{ tools: [{ type: 'web_search' }] }, 'max_tool_calls'],
  ...['additional_tools', 'tool_search_output'].flatMap((type): [JsonObject, string][] => [
    [{ input: [{ type, tools: [{ type: 'function', name: 'f' }, { type: 'web_search' }] }] }, 'input[0]'],
    [{ input: [{ type }], max_tool_calls: 1 }, 'input[0]'],
  ]),
  [{ prompt_cache_options: { ttl: '12h' } }, 'prompt_cache_options.ttl'],
  [
    user({ type: 'input_text', text: 'a', prompt_cache_breakpoint: { mode: 'explicit', ttl: '12h' } }),
    'prompt_cache_breakpoint.ttl',
  ],
  [{ background_options: { completion_window: 'now' } }, 'background_options.completion_window'],
  [{ image: { url: 'https://example.com/a.png' } }, 'image'],
  [{ image: 'https://example.com/a.png' }, 'image'],
  [{ access_programs: { cyber: 'standard', something_new: true } }, 'access_programs'],
  [{ input: [{ type: 'compaction_trigger' }] }, 'input[0]'],
  [{ input: [{ type: 'configuration_update', text: { verbosity: 'high' } }] }, 'input[0]'],
  [{ input: [{ type: 'configuration_update', reasoning: null, text: [] }] }, 'input[0]'],
  [{ input: [{ type: 'configuration_update', reasoning: { effort: 'low', mode: 'pro' } }] }, 'input[0]'],
  [
    { input: [{ type: 'configuration_update', reasoning: { effort: 'low' }, tools: [{ type: 'web_search' }] }] },
    'input[0]',
  ],
  ...[
    { type: 'web_search_preview' },
    { type: 'file_search', vector_store_ids: ['vs_1'] },
    { type: 'code_interpreter', container: { type: 'auto' } },
    { type: 'image_generation' },
    { type: 'mcp', server_url: 'https://example.com' },
    { type: 'shell', environment: { type: 'container_auto' } },
    { type: 'shell' },
    { type: 'tool_search' },
    { type: 'programmatic_tool_calling' },
    { type: 'namespace', tools: [{ type: 'mcp' }] },
    { type: 'hologram' },
    null,
  ].map((tool): [JsonObject, string] => [
    { tools: [{ type: 'function', name: 'f' }, tool], max_tool_calls: 1 },
    'tools[1]',
  ]),
])('what nothing bounds is named: %j', (extra, name) => {
  expect(bound(extra).unbounded).toBe(name)
})

test('web searches are bounded by max_tool_calls: so many fees, and one round of the context window more', () => {
  expect(bound({ tools: [{ type: 'web_search' }], max_tool_calls: 3, max_output_tokens: 10 })).toMatchObject({
    unbounded: null,
    open_input: 'tools[0]',
    rounds: 4,
    web_search_requests: 3,
    output: { max_tokens: 10, choices: 4 },
  })
})

test('tools that the client runs cost their bytes, and 1,000 tokens for each that is declared by name alone', () => {
  const declared = [
    { type: 'function', name: 'f' },
    { type: 'custom', name: 'c' },
  ]
  const tools = [
    ...declared,
    { type: 'namespace', tools: declared },
    { type: 'apply_patch' },
    { type: 'shell', environment: { type: 'local' } },
    { type: 'tool_search', execution: 'client' },
  ]
  const read = bound({ tools })
  expect(read).toMatchObject({ unbounded: null, open_input: null, rounds: 1 })
  expect(read.input_tokens).toBe(tokensOf({ ...BODY, tools }) + 4_000)
})

test('tools that the client runs cost their bytes, and 1,000 tokens each time that the input brings some', () => {
  const tools = [
    { type: 'function', name: 'f' },
    { type: 'namespace', tools: [{ type: 'custom', name: 'c' }] },
  ]
  for (const type of ['additional_tools', 'tool_search_output']) {
    const input = [
      { type, tools },
      { type, tools: tools.slice(1) },
    ]
    const read = bound({ input })
    expect(read).toMatchObject({ unbounded: null, open_input: null, rounds: 1 })
    expect(read.input_tokens).toBe(tokensOf({ ...BODY, input }) + 2_000)
    expect(bound({ input, tools }).input_tokens).toBe(tokensOf({ ...BODY, input, tools }) + 3_000)
  }
})

describe('edits', () => {
  test('none where nothing must be set', () => {
    expect(editResponses({ ...BODY, max_output_tokens: 5 }, null)).toEqual([])
    expect(editResponses({ ...BODY, max_output_tokens: 5 }, 5)).toEqual([])
  })

  test('clamp the bound, or set one where none is', () => {
    const set = [{ field: 'max_output_tokens', value: 10 }]
    expect(editResponses({ ...BODY, max_output_tokens: 50 }, 10)).toEqual(set)
    expect(editResponses({ ...BODY, max_output_tokens: null }, 10)).toEqual(set)
    expect(editResponses(BODY, 10)).toEqual(set)
  })
})
