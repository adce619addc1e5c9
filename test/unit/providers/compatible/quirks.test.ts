import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { quote } from '../../../../src/gateway/quote.ts'
import { compatibleProviders } from '../../../../src/providers/compatible/configured.ts'
import type { Bound, JsonObject, Operation } from '../../../../src/providers/dialect.ts'
import { openAICompatible } from '../../../../src/providers/openai-compatible.ts'
import { PRICE } from '../../pricing/fixtures.ts'
import { askedWith, meterOnce, readings } from '../replay.ts'

const GROK = { ...PRICE, long_context: [], context_window: 1_000_000 }

const BODY = { model: 'm', messages: [{ role: 'user', content: 'hello' }] }

const operationOf = (name: string, quirks: object = {}, operation = 'chat_completions'): Operation => {
  const env = {
    PROVIDERS: [{ name, base_url: `https://${name}.example/v1`, operations: ['embeddings', 'responses'], quirks }],
  }
  const [provider] = compatibleProviders.parse(env)
  const found = provider && openAICompatible(provider).operations.find((one) => one.name === operation)
  return found ?? expect.unreachable(`${name} has no ${operation}`)
}
const chatOf = (name: string, quirks?: object) => operationOf(name, quirks)

function bound(operation: Operation, more: JsonObject = {}): Bound {
  const read = operation.readBound?.(askedWith({ ...BODY, ...more }))
  return read && !('code' in read) ? read : expect.unreachable(JSON.stringify(read))
}
const edits = (name: string, more: JsonObject, granted: number | null = null) =>
  Object.fromEntries(
    (chatOf(name).edits?.(askedWith({ ...BODY, ...more }), granted) ?? []).map(({ field, value }) => [field, value]),
  )

describe('bounds', () => {
  test('own parameters whose cost is known are no reason to refuse; all others are', () => {
    expect(bound(chatOf('groq'), { disable_tool_validation: true }).unbounded).toBeNull()
    expect(bound(chatOf('mistral'), { random_seed: 7, top_k: 3 }).unbounded).toBeNull()
    const switches = { enable_thinking: false, reasoning_effort: 'high' }
    expect(bound(chatOf('together'), { chat_template_kwargs: switches }).unbounded).toBeNull()
    expect(bound(chatOf('mistral'), { prompt_id: 'x' }).unbounded).toBe('prompt_id')
    expect(bound(chatOf('acme'), { random_seed: 7 }).unbounded).toBe('random_seed')
    expect(bound(chatOf('acme', { fields: { random_seed: 0 } }), { random_seed: 7 }).unbounded).toBeNull()
  })

  test("an encrypted thought is its bytes only where it is known to be OpenAI's", () => {
    const input = [{ type: 'reasoning', id: 'rs_1', summary: [], encrypted_content: 'gAAAA' }]
    const openInputOf = (name: string, quirks?: object) =>
      bound(operationOf(name, quirks, 'responses'), { messages: undefined, input }).open_input
    for (const name of ['acme', 'xai', 'openrouter', 'groq']) expect(openInputOf(name)).toBe('input[0].reasoning')
    expect(openInputOf('azure')).toBeNull()
    expect(openInputOf('acme', { encrypted_thoughts: true })).toBeNull()
  })

  test('what an image by URL is may be a document or a film: only its window bounds it', () => {
    const url = 'HTTPS://example.com/a'
    const asChat = (image_url: unknown) => ({
      messages: [{ role: 'user', content: [{ type: 'image_url', image_url }] }],
    })
    for (const body of [asChat({ url }), asChat(url)])
      for (const name of ['mistral', 'azure']) expect(bound(chatOf(name), body).open_input).toMatch(/^messages\[0\]/)
    const content = [{ type: 'input_image', image_url: url }]
    for (const item of [
      { role: 'user', content },
      { type: 'function_call_output', call_id: 'c', output: content },
      { type: 'computer_call_output', call_id: 'c', output: { type: 'computer_screenshot', image_url: url } },
    ])
      expect(bound(operationOf('xai', {}, 'responses'), { messages: undefined, input: [item] })).toMatchObject({
        open_input: expect.stringMatching(/^input\[0\]\.(content|output)\[0\]\.image_url$/),
        unbounded: expect.not.stringMatching(/^input/),
      })
  })

  test.each<[JsonObject, number]>([
    [{ max_tokens: 8_000, reasoning: { max_tokens: 2_000 } }, 2_001],
    [{ max_tokens: 1_000, reasoning: { max_tokens: 2_000 } }, 1_000],
    [{ reasoning: { max_tokens: 2_000 } }, 2_001],
    [{ max_tokens: 8_000, reasoning: { effort: 'high', max_tokens: null } }, 1],
    [{ max_tokens: 8_000, reasoning: { max_tokens: -1 } }, 1],
  ])('no part of an output is of use that is not above the budget of thoughts: %j', (more, min_tokens) => {
    expect(bound(chatOf('openrouter'), more).output).toMatchObject({ min_tokens })
    const { max_tokens: max_output_tokens, ...others } = more
    const responses = { ...others, max_output_tokens, messages: undefined, input: 'hello' }
    expect(bound(operationOf('openrouter', {}, 'responses'), responses).output).toMatchObject({ min_tokens })
  })

  test('a hosted tool is blamed itself: no limit of its calls would help', () => {
    const searching = { model: 'm', input: 'x', tools: [{ type: 'web_search' }] }
    for (const more of [{}, { max_tool_calls: 3 }]) {
      const read = operationOf('xai', {}, 'responses').readBound?.(askedWith({ ...searching, ...more }))
      expect(read).toMatchObject({ unbounded: 'tools[0]' })
    }
  })

  test('a parameter that makes the provider write a prompt adds its tokens', () => {
    const plain = bound(chatOf('mistral')).input_tokens
    const more = { prompt_mode: 'reasoning' }
    const bytes = JSON.stringify({ ...BODY, ...more }).length - JSON.stringify(BODY).length
    expect(bound(chatOf('mistral'), more).input_tokens).toBe(plain + bytes + 2_000)
  })

  test('what a provider writes around the messages is inside: "hi" bills 680 tokens at xAI, 72 at groq', () => {
    expect(bound(chatOf('xai')).input_tokens).toBeGreaterThan(680)
    expect(bound(chatOf('groq')).input_tokens).toBeGreaterThan(72)
  })

  test.each<[string, JsonObject, string]>([
    ['xai', { search_parameters: { mode: 'on' } }, 'search_parameters'],
    ['groq', { model: 'groq/compound-mini' }, 'model'],
    ['xai', { model: 'grok-4.20-multi-agent' }, 'model'],
    ['together', { chat_template_kwargs: { chat_template: '{% for i in x %}a{% endfor %}' } }, 'chat_template_kwargs'],
    ['together', { chat_template_kwargs: { documents: [{}] } }, 'chat_template_kwargs'],
    ['openrouter', { provider: { order: ['x'] } }, 'provider'],
    ['openrouter', { model: 'Perplexity/Sonar' }, 'model'],
    ['openrouter', { model: '@preset/dear' }, 'model'],
    ['openrouter', { model: 'openai/gpt-4o@preset/dear' }, 'model'],
    ['openrouter', { modalities: ['text', 'image'] }, 'modalities'],
    ['openrouter', { service_tier: 'priority' }, 'service_tier'],
    ['groq', { service_tier: 'performance' }, 'service_tier'],
    ['azure', { service_tier: 'performance' }, 'service_tier'],
    ['acme', { tools: [{ type: 'browser_search' }] }, 'tools[0]'],
    ['mistral', { messages: [{ role: 'user', content: [{ type: 'document_url' }] }] }, 'messages[0].content[0]'],
  ])('%s: %j may cost a fee that nothing bounds', (name, more, field) => {
    expect(bound(chatOf(name), more).unbounded).toBe(field)
  })

  test.each([undefined, null, 'auto', 'default', 'standard', 'on_demand', 'scale'])(
    'the tier %s of a provider without tiers is its standard one',
    (service_tier) => {
      const more = service_tier === undefined ? {} : { service_tier }
      expect(bound(chatOf('groq'), more)).toMatchObject({ service_tier: null, unbounded: null })
    },
  )

  test.each<[string, string, JsonObject, boolean]>([
    ['xai', 'grok-4.3', {}, false],
    ['xai', 'Grok-5', { max_completion_tokens: null }, false],
    ['xai', 'grok-4-fast-non-reasoning', {}, true],
    ['xai', 'grok-4-fast-non-reasoning', { tools: [{ type: 'function' }] }, false],
    ['xai', 'grok-4-fast-non-reasoning', { functions: [{ name: 'f' }] }, false],
    ['xai', 'grok-4-fast-non-reasoning', { tools: [] }, true],
    ['openrouter', 'x-ai/grok-4.3', {}, false],
    ['openrouter', 'openai/gpt-4o', { tools: [{ type: 'function' }] }, true],
    ['groq', 'qwen/qwen3-32b', { tools: [{ type: 'function' }] }, true],
  ])('at %s the bound of %s %j holds for all that it writes: %s', (name, model, more, holds) => {
    const { output } = bound(chatOf(name), { model, max_tokens: 50, max_completion_tokens: 50, n: 2, ...more })
    const tokens = holds ? 50 : 10_000_000
    expect(output).toEqual({ max_tokens: tokens, min_tokens: holds ? 1 : tokens, choices: 2 })
  })

  test('nor does that of a response whose input brings tools', () => {
    const responses = operationOf('xai', {}, 'responses')
    const bring = (tools: object[]) => {
      const input = [
        { role: 'user', content: 'hi' },
        { type: 'additional_tools', tools },
      ]
      return responses.readBound?.(askedWith({ model: 'grok-4-fast-non-reasoning', input, max_output_tokens: 16 }))
    }
    const tool = { type: 'function', name: 'f', parameters: {} }
    expect(bring([tool])).toMatchObject({ unbounded: null, output: { max_tokens: 10_000_000 } })
    expect(bring([])).toMatchObject({ unbounded: null, output: { max_tokens: 16 } })
  })

  test('where only the context window bounds reasoning, that is held whole, and nothing is clamped', () => {
    const options = { default_max_output_tokens: 100, model_max_output_tokens: null }
    const held = quote(bound(chatOf('xai'), { model: 'grok-4.3', max_tokens: 50 }), GROK, options).output
    expect(held).toMatchObject({ max_tokens: 1_050_000, min_tokens: 1_050_000 })
    const responses = operationOf('xai', {}, 'responses')
    const read = responses.readBound?.(askedWith({ model: 'grok-4.3', input: 'hi', max_output_tokens: 16 }))
    expect(read).toMatchObject({ unbounded: null, output: { max_tokens: 10_000_000 } })
  })

  test('a provider with OpenAI’s tiers is held at the dearest one that may answer', () => {
    expect(bound(chatOf('azure'))).toMatchObject({ service_tier: 'priority', unbounded: null })
    expect(bound(chatOf('azure'), { service_tier: 'default' }).service_tier).toBeNull()
    expect(bound(chatOf('acme', { service_tiers: true })).service_tier).toBe('priority')
  })

  test('a cache for an hour is held and charged at its own price', () => {
    const more = { cache_control: { type: 'ephemeral', ttl: '1h' } }
    expect(bound(chatOf('openrouter'), more).cache_write).toBe('1h')
    expect(bound(chatOf('openrouter')).cache_write).toBe('5m')
    const answer = {
      choices: [],
      usage: { prompt_tokens: 9, completion_tokens: 1, prompt_tokens_details: { cache_write_tokens: 4 } },
    }
    const { usage } = meterOnce(chatOf('openrouter'), { ...BODY, ...more }, false, JSON.stringify(answer))
    expect(usage).toMatchObject({ cache_write_5m_tokens: 0, cache_write_1h_tokens: 4 })
  })

  test.each<[string, object, object]>([
    ['mistral', { prompt_audio_seconds: 5 }, { audio_input_tokens: 400 }],
    ['openrouter', { prompt_tokens_details: { audio_tokens: 0 } }, { audio_input_tokens: 400 }],
    ['openrouter', { prompt_tokens_details: { audio_tokens: 375 } }, { audio_input_tokens: 375 }],
  ])('audio that %s does not tell apart (%j) is charged as held', (name, details, expected) => {
    const audio = { type: 'input_audio', input_audio: { data: 'AAAA', format: 'mp3' } }
    const body = { ...BODY, messages: [{ role: 'user', content: [audio, { type: 'text', text: 'What is said?' }] }] }
    const answer = JSON.stringify({ choices: [], usage: { prompt_tokens: 400, completion_tokens: 3, ...details } })
    expect(bound(chatOf(name), body)).toMatchObject({ audio_input: true, unbounded: null })
    expect(meterOnce(chatOf(name), body, false, answer).usage).toMatchObject(expected)
    const before = { ...BODY, messages: [{ role: 'assistant', audio: { id: 'audio_1' } }, ...BODY.messages] }
    expect(bound(chatOf(name), before)).toMatchObject({ audio_input: true, unbounded: null })
    expect(meterOnce(chatOf(name), before, false, answer).usage).toMatchObject(expected)
  })

  test('without audio no input is taken for it', () => {
    const answer = JSON.stringify({ choices: [], usage: { prompt_tokens: 400, completion_tokens: 3 } })
    expect(meterOnce(chatOf('mistral'), BODY, false, answer).usage).toMatchObject({ audio_input_tokens: 0 })
  })

  test('audio of a response and of an embedding, which no usage tells apart, is charged as such, too', () => {
    const audio = { type: 'input_audio', input_audio: { data: 'AAAA', format: 'mp3' } }
    const said = { role: 'user', content: [audio] }
    const printed = { type: 'function_call_output', call_id: 'c', output: [audio] }
    const usage = { input_tokens: 400, output_tokens: 3, prompt_tokens: 400, total_tokens: 400 }
    const answer = JSON.stringify({ object: 'response', status: 'completed', output: [], data: [], usage })
    const inputOf = (name: string, input: unknown) =>
      meterOnce(operationOf('openrouter', {}, name), { model: 'm', input }, false, answer).usage
    for (const one of [said, printed])
      expect(inputOf('responses', [one])).toMatchObject({ input_tokens: 400, audio_input_tokens: 400 })
    expect(inputOf('embeddings', [said])).toMatchObject({ input_tokens: 400, audio_input_tokens: 400 })
    expect(inputOf('responses', [{ role: 'user', content: 'hi' }])).toMatchObject({ audio_input_tokens: 0 })
    expect(inputOf('embeddings', 'hi')).toMatchObject({ audio_input_tokens: 0 })
  })

  test('what a provider writes by itself is held once, not with each slice of many inputs', () => {
    const body = { messages: undefined, input: Array.from({ length: 100 }, () => 'x'.repeat(1_000)) }
    const { input_tokens, rounds } = bound(operationOf('mistral', {}, 'embeddings'), body)
    const bytes = JSON.stringify({ ...BODY, ...body }).length
    expect(input_tokens * rounds).toBeGreaterThanOrEqual(bytes + 300)
    expect(input_tokens * rounds).toBeLessThan(bytes + 300 + 2 * rounds)
  })

  test('is never below OpenAI’s reading of the same body, whatever is beside', () => {
    const plain = chatOf('acme', { preamble_tokens: 0 })
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.nat(5_000), (text, added) => {
        const quirky = chatOf('acme', { fields: { note: added }, preamble_tokens: 5 })
        const body = { messages: [{ role: 'user', content: text }] }
        const least = bound(plain, body).input_tokens
        expect(bound(quirky, { ...body, note: text }).input_tokens).toBeGreaterThanOrEqual(least + added + 5)
      }),
    )
  })
})

describe('responses', () => {
  const responses = operationOf('acme', { fields: { reasoning: 0 } }, 'responses')
  const read = (more: JsonObject) => responses.readBound?.(askedWith({ model: 'm', input: 'hello', ...more }))
  const FILE = { type: 'input_file', file_url: 'https://x.example/a.pdf' }
  const PART = [{ role: 'user', content: [FILE] }]
  const outputOf = (part: JsonObject) => [{ type: 'function_call_output', call_id: 'c', output: [part] }]

  test.each<[JsonObject, string]>([
    [{ tools: [{ type: 'web_search' }], max_tool_calls: 2 }, 'tools[0]'],
    [{ tools: [{ type: 'x_search' }] }, 'tools[0]'],
    [{ input: PART }, 'input[0].content[0]'],
    [{ input: outputOf(FILE) }, 'input[0].output[0]'],
    [{ reasoning: { mode: 'pro' } }, 'reasoning.mode'],
    [{ plugins: [{ id: 'web' }] }, 'plugins'],
  ])('%j is unbounded', (more, field) => {
    expect(read(more)).toMatchObject({ unbounded: field })
  })

  test('a plain one is bounded; one in the background could not be asked for again', () => {
    expect(read({})).toMatchObject({ unbounded: null })
    expect(read({ input: outputOf({ type: 'input_text', text: 'a' }) })).toMatchObject({ unbounded: null })
    expect(read({ background: true })).toMatchObject({ code: 'invalid_request', field: 'background' })
  })
})

describe('edits', () => {
  test('providers that take no stream_options are sent none', () => {
    expect(edits('mistral', { stream: true })).toEqual({})
    expect(edits('groq', { stream: true })).toEqual({ stream_options: { include_usage: true } })
    expect(chatOf('mistral').filter?.(askedWith({ ...BODY, stream: true }))).toBeNull()
    expect(chatOf('groq').filter?.(askedWith({ ...BODY, stream: true }))).not.toBeNull()
  })

  test.each<[string, JsonObject, number | null, object]>([
    ['deepseek', {}, null, {}],
    ['deepseek', {}, 70, { max_tokens: 70 }],
    ['deepseek', { max_tokens: 50 }, null, {}],
    ['deepseek', { max_tokens: 90 }, 70, { max_tokens: 70 }],
    ['deepseek', { max_completion_tokens: 50 }, null, { max_tokens: 50 }],
    ['deepseek', { max_completion_tokens: 50, max_tokens: null }, 70, { max_tokens: 50 }],
    ['deepseek', { max_completion_tokens: 90 }, 70, { max_completion_tokens: 70, max_tokens: 70 }],
    ['deepseek', { max_completion_tokens: 90, max_tokens: 80 }, 70, { max_completion_tokens: 70, max_tokens: 70 }],
    ['xai', { max_tokens: 50 }, null, { max_completion_tokens: 50 }],
    ['xai', {}, 70, { max_completion_tokens: 70 }],
    ['acme', { max_tokens: 50 }, null, {}],
    ['acme', {}, 70, { max_completion_tokens: 70 }],
  ])('%s: %j with %s granted', (name, more, granted, expected) => {
    expect(edits(name, more, granted)).toEqual(expected)
  })
})

const event = (fields: object) => `data: ${JSON.stringify({ id: 'x', model: 'm', ...fields })}\n\n`
const choice = (content: string, finish_reason: string | null = null) => [
  { index: 0, delta: { content }, finish_reason },
]
const DONE = 'data: [DONE]\n\n'
const STREAM = { ...BODY, stream: true }
const bytes = (...events: string[]) => new TextEncoder().encode(events.join(''))

describe('usage, at every chunk boundary', () => {
  test.each<[string, Uint8Array, object]>([
    [
      'groq',
      bytes(
        event({ choices: choice('hé'), x_groq: { id: 'req' } }),
        event({
          choices: choice('', 'stop'),
          x_groq: { id: 'req', usage: { prompt_tokens: 72, completion_tokens: 5 } },
        }),
        DONE,
      ),
      { input_tokens: 72, output_tokens: 5 },
    ],
    [
      'groq',
      bytes(
        event({ choices: choice('hé') }),
        event({ choices: choice('', 'stop') }),
        event({ choices: [], usage: { prompt_tokens: 72, completion_tokens: 5 } }),
        DONE,
      ),
      { input_tokens: 72, output_tokens: 5 },
    ],
    [
      'deepseek',
      bytes(
        event({ choices: choice('hi'), usage: null }),
        event({
          choices: choice('', 'stop'),
          usage: {
            prompt_tokens: 100,
            completion_tokens: 5,
            prompt_cache_hit_tokens: 64,
            prompt_cache_miss_tokens: 36,
          },
        }),
        DONE,
      ),
      { input_tokens: 100, cached_input_tokens: 64, output_tokens: 5 },
    ],
    [
      'xai',
      bytes(
        event({ choices: choice('hi') }),
        event({
          choices: choice('', 'stop'),
          usage: {
            prompt_tokens: 10,
            completion_tokens: 5,
            total_tokens: 215,
            completion_tokens_details: { reasoning_tokens: 200 },
          },
        }),
        DONE,
      ),
      { input_tokens: 10, output_tokens: 205, reasoning_tokens: 200 },
    ],
    // Moonshot's: https://github.com/northes/go-moonshot/issues/17
    [
      'acme',
      bytes(
        event({ choices: choice('你好') }),
        event({
          choices: [
            { ...choice('', 'stop')[0], usage: { prompt_tokens: 19, completion_tokens: 13, cached_tokens: 7 } },
          ],
        }),
        DONE,
      ),
      { input_tokens: 19, cached_input_tokens: 7, output_tokens: 13 },
    ],
    [
      'acme',
      bytes(
        event({ choices: choice('a'), usage: { prompt_tokens: 10, completion_tokens: 1 } }),
        event({ choices: choice('b'), usage: { prompt_tokens: 10, completion_tokens: 2 } }),
        event({ choices: choice('c', 'stop'), usage: { prompt_tokens: 10, completion_tokens: 3 } }),
        DONE,
      ),
      { input_tokens: 10, output_tokens: 3 },
    ],
  ])('%s', (name, stream, usage) => {
    const found = readings(chatOf(name), STREAM, true, stream)
    expect(found).toHaveLength(1)
    expect(found[0]).toMatchObject({ complete: true, usage })
  })

  test('in a place whose name is another than `usage`, in JSON and in a stream', () => {
    const chat = chatOf('acme', { usage_at: 'x_acme.tokens' })
    const x_acme = { tokens: { prompt_tokens: 72, completion_tokens: 5 } }
    const usage = { input_tokens: 72, output_tokens: 5 }
    const answer = JSON.stringify({ choices: [{ message: { content: 'hi' } }], x_acme })
    expect(meterOnce(chat, BODY, false, answer)).toMatchObject({ complete: true, usage })
    const stream = bytes(event({ choices: choice('hi') }), event({ choices: choice('', 'stop'), x_acme }), DONE)
    const found = readings(chat, STREAM, true, stream)
    expect(found).toHaveLength(1)
    expect(found[0]).toMatchObject({ complete: true, usage })
  })

  test('in its own place before any other, and though another object of that name follows', () => {
    const prompt_tokens_details = { cached_tokens: 4 }
    const told = (completion_tokens: number) => ({
      usage: { prompt_tokens: 10, prompt_tokens_details, completion_tokens },
    })
    const stream = bytes(
      event({ choices: choice('hi', 'stop'), ...told(1), x_groq: told(2) }),
      event({ choices: [], x: { usage: {} } }),
      DONE,
    )
    expect(meterOnce(chatOf('groq'), STREAM, true, stream).usage).toMatchObject({
      cached_input_tokens: 4,
      output_tokens: 2,
    })
  })

  test('of a response or an embedding, which have no other place', () => {
    const usage = { input_tokens: 9, output_tokens: 2, prompt_tokens: 9, total_tokens: 9 }
    const answer = JSON.stringify({ object: 'response', status: 'completed', output: [], data: [], usage })
    for (const quirks of [{ usage_at: 'x.usage' }, { cached_tokens_at: 'prompt_cache_hit_tokens' }])
      for (const name of ['responses', 'embeddings'])
        expect(meterOnce(operationOf('acme', quirks, name), { model: 'm', input: 'hi' }, false, answer)).toMatchObject({
          usage: { input_tokens: 9, output_tokens: name === 'responses' ? 2 : 0 },
        })
  })

  test.each<[string, object, JsonObject, JsonObject]>([
    ['groq', {}, {}, { message: { content: 'A'.repeat(17 * 2 ** 20) } }],
    ['deepseek', {}, { top_logprobs: 20 }, { logprobs: { top_logprobs: Array(17 * 2 ** 20).fill(1) } }],
    ['acme', { usage_at: 'x.usage' }, {}, { message: { images: ['A'.repeat(17 * 2 ** 20)] } }],
  ])('after more than is kept of an answer: %s', (name, quirks, asked, choice) => {
    const usage = { prompt_tokens: 72, completion_tokens: 5, prompt_cache_hit_tokens: 60 }
    const told = name === 'acme' ? { x: { usage } } : name === 'groq' ? { x_groq: { usage } } : { usage }
    const answer = JSON.stringify({ choices: [choice], ...told })
    expect(meterOnce(chatOf(name, quirks), { ...BODY, ...asked }, false, answer)).toMatchObject({
      complete: true,
      usage: { input_tokens: 72, cached_input_tokens: name === 'deepseek' ? 60 : 0, output_tokens: 5 },
    })
  })

  test('a stream that ends early has no usage, however much it told on its way', () => {
    const told = { prompt_tokens: 10, completion_tokens: 1 }
    const cut = bytes(event({ choices: choice('a'), usage: told, x_groq: { usage: told } }))
    for (const name of ['groq', 'deepseek', 'acme'])
      expect(meterOnce(chatOf(name), STREAM, true, cut)).toMatchObject({ complete: false, usage: null })
  })

  test.each(['groq', 'deepseek', 'acme'])(
    'of %s: where its last usage cannot be read, an earlier one is none',
    (name) => {
      const [told, odd] = [
        { prompt_tokens: 10, completion_tokens: 1 },
        { prompt_tokens: 10, completion_tokens: -900 },
      ]
      const stream = bytes(
        event({ choices: choice('a'), usage: told, x_groq: { usage: told } }),
        event({ choices: choice('b', 'stop'), usage: odd, x_groq: { usage: odd } }),
        DONE,
      )
      expect(readings(chatOf(name), STREAM, true, stream)).toEqual([
        expect.objectContaining({ complete: true, usage: null }),
      ])
    },
  )

  test.each(['deepseek', 'acme'])('of %s: an earlier one is none either where the stream told no more', (name) => {
    const told = { prompt_tokens: 10, completion_tokens: 1 }
    const stream = bytes(event({ choices: choice('a'), usage: told }), event({ choices: choice('b', 'stop') }), DONE)
    expect(readings(chatOf(name), STREAM, true, stream)).toEqual([
      expect.objectContaining({ complete: true, usage: null }),
    ])
  })

  test('JSON answers too, and what is no count is no usage', () => {
    const answer = (usage: object) => JSON.stringify({ choices: [{ message: { content: 'hi' } }], usage })
    const read = (usage: object) => meterOnce(chatOf('deepseek'), BODY, false, answer(usage)).usage
    expect(read({ prompt_tokens: 9, completion_tokens: 2, prompt_cache_hit_tokens: 4 })).toMatchObject({
      cached_input_tokens: 4,
    })
    expect(read({ prompt_tokens: 9, completion_tokens: 2 })).toMatchObject({ cached_input_tokens: 0 })
    expect(read({ prompt_tokens: -1, completion_tokens: 2 })).toBeNull()
    // Where caches are counted beside the input, the input alone would be next to nothing.
    for (const prompt_cache_hit_tokens of [40_000, '4', -4]) {
      const usage = { prompt_tokens: 9, completion_tokens: 2, prompt_cache_hit_tokens }
      expect(read(usage)).toBeNull()
      const stream = bytes(event({ choices: choice('hi', 'stop') }), event({ choices: [], usage }), DONE)
      expect(meterOnce(chatOf('deepseek'), STREAM, true, stream)).toMatchObject({ complete: true, usage: null })
    }
    const chat = chatOf('acme', { cached_tokens_at: 'cache_read_input_tokens' })
    const prompt_tokens_details = { audio_tokens: 3 }
    const claude = answer({ prompt_tokens: 9, prompt_tokens_details, completion_tokens: 2, cache_read_input_tokens: 4 })
    expect(meterOnce(chat, BODY, false, claude).usage).toMatchObject({
      input_tokens: 9,
      cached_input_tokens: 4,
      audio_input_tokens: 3,
    })
  })

  test('xAI’s reasoning is counted in the total alone, in an answer of xAI’s', () => {
    const usage = {
      prompt_tokens: 197,
      completion_tokens: 1,
      total_tokens: 344,
      prompt_tokens_details: { text_tokens: 197, audio_tokens: 0, image_tokens: 0, cached_tokens: 192 },
      completion_tokens_details: { reasoning_tokens: 146, audio_tokens: 0, rejected_prediction_tokens: 0 },
      num_sources_used: 0,
      cost_in_usd_ticks: 4_121_500,
    }
    const answer = JSON.stringify({ model: 'grok-4.3', choices: [{ message: { content: 'hello' } }], usage })
    expect(meterOnce(chatOf('xai'), BODY, false, answer).usage).toMatchObject({
      input_tokens: 197,
      cached_input_tokens: 192,
      output_tokens: 147,
      reasoning_tokens: 146,
    })
  })

  test('a name of OpenAI’s proves nothing here: without usage the hold is charged', () => {
    const answer = JSON.stringify({ choices: [{ message: { content: 'hi' } }] })
    expect(meterOnce(chatOf('acme'), { ...BODY, model: 'gpt-4' }, false, answer)).toMatchObject({
      may_hide_output: true,
    })
  })

  test('the gateway learns that a stream is over as early as from OpenAI', () => {
    const { meter } = chatOf('groq')
    const reading = meter(askedWith(STREAM))({ status: 200, format: 'sse', headers: new Headers() })
    reading.push(bytes(event({ choices: choice('', 'stop') })))
    expect(reading.ending).toBe('may_be_over')
    reading.push(bytes(DONE))
    expect(reading.ending).toBe('over')
  })
})
