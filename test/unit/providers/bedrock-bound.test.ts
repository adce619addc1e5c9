import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { answerBedrock, BEDROCK_CREDENTIAL } from '../../../src/local/fake-bedrock.ts'
import { claudeName, readModelId } from '../../../src/providers/bedrock-model.ts'
import type { Asked, Bound, JsonObject } from '../../../src/providers/dialect.ts'
import { askedOf, bedrock, meterOnce, operationOf } from './bedrock-vectors.ts'
import { headOf } from './replay.ts'
import { size, tokensOf } from './sizes.ts'

const CLAUDE = 'us.anthropic.claude-haiku-4-5-20251001-v1:0'
const NOVA = 'amazon.nova-lite-v1:0'
const LLAMA = 'meta.llama3-1-8b-instruct-v1:0'
const MISTRAL = 'mistral.mistral-7b-instruct-v0:2'
const TITAN = 'amazon.titan-text-express-v1'

function read(operation: string, model: string, body: JsonObject, more: Partial<Asked> = {}) {
  return operationOf(operation).readBound?.(askedOf(model, body, { bytes: more.bytes ?? size(body), ...more }))
}

function boundOf(...asked: Parameters<typeof read>): Bound {
  const bound = read(...asked)
  if (!bound || 'code' in bound) throw new Error(bound?.message)
  return bound
}

const HELLO = { messages: [{ role: 'user', content: [{ text: 'hello' }] }] }
const converse = (extra: JsonObject, model = CLAUDE) => boundOf('converse', model, { ...HELLO, ...extra })
const user = (...content: unknown[]) => ({ messages: [{ role: 'user', content }] })

describe('a model id', () => {
  test.each([
    [CLAUDE, CLAUDE, 'claude'],
    [`arn:aws:bedrock:us-east-1:123456789012:inference-profile/${CLAUDE}`, CLAUDE, 'claude'],
    [`arn:aws-us-gov:bedrock:us-gov-west-1::foundation-model/${LLAMA}`, LLAMA, 'llama'],
    ['arn:aws:bedrock:us-east-1:1:provisioned-model/abc', 'arn:aws:bedrock:us-east-1:1:provisioned-model/abc', null],
    ['global.amazon.nova-2-lite-v1:0', 'global.amazon.nova-2-lite-v1:0', 'nova'],
    ['in.amazon.nova-lite-v1:0', 'in.amazon.nova-lite-v1:0', 'nova'],
    ['amazon.nova-canvas-v1:0', 'amazon.nova-canvas-v1:0', null],
    ['amazon.titan-embed-image-v1', 'amazon.titan-embed-image-v1', null],
    ['acme.new-v1', 'acme.new-v1', null],
  ])('%s', (given, id, family) => {
    expect(readModelId(given)).toEqual({ id, family, is_prompt: false })
  })

  test('names its model to Anthropic’s rules', () => {
    expect(claudeName(CLAUDE)).toBe('claude-haiku-4-5-20251001')
    expect(claudeName('anthropic.claude-opus-4-6-v1')).toBe('claude-opus-4-6')
  })

  test.each(['', '../x', 'a/../../guardrail', 'a/b', 'arn:aws:bedrock:::x/../y', 'a b', 'x'.repeat(3_000), 'a?b'])(
    'is refused where it might mean another path: %j',
    (id) => {
      expect(readModelId(id)).toMatchObject({ code: 'invalid_request', field: 'modelId' })
    },
  )
})

describe('Converse', () => {
  test('is bounded by its bytes and by maxTokens', () => {
    const body = { ...HELLO, inferenceConfig: { maxTokens: 100 } }
    expect(boundOf('converse', CLAUDE, body)).toMatchObject({
      model: CLAUDE,
      stream: false,
      input_tokens: tokensOf(body),
      open_input: null,
      unbounded: null,
      output: { max_tokens: 100, min_tokens: 1, choices: 1 },
      cache_write: 'none',
      service_tier: null,
    })
    expect(boundOf('converse_stream', CLAUDE, body).stream).toBe(true)
    expect(converse({}).output?.max_tokens).toBeNull()
  })

  test.each([
    'x-amzn-bedrock-service-tier',
    'x-amzn-bedrock-performanceconfig-latency',
    'x-amzn-bedrock-guardrailidentifier',
  ])('is not bounded beside the header %s, which is InvokeModel’s', (name) => {
    expect(boundOf('converse', CLAUDE, HELLO, { headers: new Headers({ [name]: 'x' }) }).unbounded).toBe(name)
  })

  test('takes an inline image by its tokens and not by its bytes, also inside a tool result', () => {
    const image = { image: { format: 'png', source: { bytes: 'A'.repeat(20_000) } } }
    const content = user(image, { toolResult: { toolUseId: 'a', content: [image, { json: {} }] } })
    expect(converse(content).input_tokens).toBe(tokensOf({ ...HELLO, ...content }) - 2 * 15_000)
    const tokensOfText = tokensOf({ ...HELLO, ...content }) - 2 * 20_000 + 300
    // Qwen3-VL reads up to 4,096 by 4,096 pixels, 32 by 32 of them a token: `longest_edge` 16777216, `patch_size` 16 and
    // `merge_size` 2 of https://huggingface.co/Qwen/Qwen3-VL-235B-A22B-Instruct/blob/main/preprocessor_config.json
    for (const model of ['qwen.qwen3-vl-235b-a22b', 'acme.new-v1:0'])
      expect(converse(content, model).input_tokens).toBeGreaterThan(tokensOfText + 2 * (128 * 128 + 2))
    expect(converse(content, NOVA).input_tokens).toBe(tokensOfText + 2 * 10_000)
  })

  test('takes a tool that a message offers by name for its definition, once more, and one that it takes away for its bytes', () => {
    const toolSpec = { name: 'a', description: 'é'.repeat(500), inputSchema: { json: { type: 'object' } } }
    const change = (kind: string, name: string) => ({ [kind]: { tool: { type: 'tool_reference', name } } })
    const addedBy = (change: JsonObject) => {
      const body = { ...HELLO, ...user(change), toolConfig: { tools: [{ toolSpec }] } }
      const { input_tokens, open_input } = boundOf('converse', CLAUDE, body)
      expect(open_input).toBeNull()
      return input_tokens - tokensOf(body) - 1_000
    }
    expect(addedBy(change('toolRemoval', 'a'))).toBe(1_000)
    expect(addedBy(change('toolAddition', 'a'))).toBeGreaterThan(1_000 + size(toolSpec))
    for (const toolConfig of [undefined, { tools: [null] }])
      expect(converse({ ...user(change('toolAddition', 'b')), toolConfig }).open_input).toBe('messages[0].content[0]')
  })

  test.each([
    ['an image in S3', { image: { format: 'png', source: { s3Location: { uri: 's3://a/b' } } } }],
    ['a document', { document: { format: 'pdf', name: 'a', source: { bytes: 'AA' } } }],
    ['a cited document', { document: { name: 'a', source: { text: 'a' }, citations: { enabled: true } } }],
    ['a video', { video: { format: 'mp4', source: { bytes: 'AA' } } }],
    ['a tool of a server', { toolAddition: { tool: { serverName: 'a', name: 'b' } } }],
    ['a tool of a server that is taken away', { toolRemoval: { tool: { serverName: 'a', name: 'b' } } }],
    ['a tool that is none', { toolAddition: { tool: null } }],
    ['a guarded text', { guardContent: { text: { text: 'a' } } }],
    ['something new', { hologram: {} }],
    ['two kinds at once', { text: 'a', video: {} }],
    ['no object', 'text'],
    ['a video in a result', { toolResult: { content: [{ video: {} }] } }],
  ])('is open for %s', (_, block) => {
    expect(converse(user({ text: 'a' }, block)).open_input).toMatch(/^messages\[0\]\.content\[1\]/)
  })

  test.each([
    [{ guardrailConfig: { guardrailIdentifier: 'g' } }, 'guardrailConfig'],
    [{ promptVariables: { a: { text: 'b' } } }, 'promptVariables'],
    [{ aNewField: 1 }, 'aNewField'],
    [{ inferenceConfig: { maxtokens: 5 } }, 'inferenceConfig.maxtokens'],
    [{ additionalModelRequestFields: { max_tokens: 5 } }, 'additionalModelRequestFields.max_tokens'],
    [{ additionalModelRequestFields: 'max_tokens' }, 'additionalModelRequestFields'],
    [
      { additionalModelRequestFields: { inferenceConfig: { topK: 1, max_new_tokens: 5 } } },
      'additionalModelRequestFields.inferenceConfig.max_new_tokens',
    ],
    [{ additionalModelRequestFields: { inferenceConfig: 1 } }, 'additionalModelRequestFields.inferenceConfig'],
    [{ toolConfig: { tools: [{ toolSpec: {} }, { systemTool: { name: 'nova_grounding' } }] } }, 'toolConfig.tools[1]'],
    [{ performanceConfig: { latency: 'optimized' }, serviceTier: { type: 'priority' } }, 'performanceConfig'],
  ])('%j is not bounded, and named', (extra, name) => {
    expect(converse(extra).unbounded).toBe(name)
  })

  test('knows what Nova has in an inferenceConfig of its own', () => {
    expect(converse({ additionalModelRequestFields: { inferenceConfig: { topK: 1 } } }, NOVA).unbounded).toBeNull()
    expect(converse({ additionalModelRequestFields: { inferenceConfig: null } }, NOVA).unbounded).toBeNull()
  })

  test('knows the betas that the AI SDK leaves at the top, beside those that it writes where they belong', () => {
    const anthropic_beta = ['one-2026-01-01']
    const extra = { additionalModelRequestFields: { anthropic_beta }, anthropicBeta: anthropic_beta }
    expect(converse(extra).unbounded).toBeNull()
  })

  test.each([
    [{ effort: 'low' }, 1_000],
    [{ format: { type: 'json_schema', schema: { type: 'object' } } }, 1_000],
  ])(
    'knows output_config %j among the model’s own fields, for which Claude is told something',
    (output_config, added) => {
      const extra = { additionalModelRequestFields: { output_config, tool_choice: { type: 'auto' } } }
      const { unbounded, input_tokens } = converse(extra)
      expect({ unbounded, input_tokens }).toEqual({
        unbounded: null,
        input_tokens: tokensOf({ ...HELLO, ...extra }) + added,
      })
    },
  )

  test('of a stored prompt is not bounded', () => {
    expect(boundOf('converse', 'arn:aws:bedrock:us-east-1:1:prompt/AAAAAAAAAA:1', HELLO).unbounded).toBe('modelId')
  })

  test.each([
    [{ inferenceConfig: { maxTokens: 0 } }, 'inferenceConfig.maxTokens'],
    [{ inferenceConfig: [] }, 'inferenceConfig'],
    [{ messages: 'hello' }, 'messages'],
    [{ system: 'hello' }, 'system'],
    [{ toolConfig: 7 }, 'toolConfig'],
    [{ toolConfig: { tools: {} } }, 'toolConfig.tools'],
  ])('%j is refused by name', (extra, field) => {
    expect(read('converse', CLAUDE, { ...HELLO, ...extra })).toMatchObject({ code: 'invalid_request', field })
  })

  test('writes caches as its dearest cache point says', () => {
    expect(converse({ system: [{ cachePoint: { type: 'default' } }] }).cache_write).toBe('5m')
    expect(converse(user({ text: 'a' }, { cachePoint: { type: 'default', ttl: '1h' } })).cache_write).toBe('1h')
    expect(converse({ toolConfig: { tools: [{ cachePoint: { type: 'default', ttl: '9h' } }] } }).cache_write).toBe('1h')
  })

  test.each<[string, JsonObject]>([
    ['converse', HELLO],
    ['converse_stream', HELLO],
    ['invoke_model', { prompt: 'hello' }],
    ['invoke_model', { messages: [{ role: 'user', content: 'hello' }] }],
  ])('%s of %j: models of OpenAI write their cache without being asked', (operation, body) => {
    expect(boundOf(operation, 'us.openai.gpt-5.6-sol', body).cache_write).toBe('5m')
    expect(boundOf(operation, 'us.openai.gpt-5.6-sol', body).unbounded).toBeNull()
  })

  test('of a model that only the account knows may write a cache without being asked', () => {
    const id = 'arn:aws:bedrock:us-east-1:1:application-inference-profile/abc'
    expect(boundOf('converse', id, HELLO).cache_write).toBe('5m')
  })

  test.each([
    [{}, null],
    [{ serviceTier: { type: 'flex' } }, null],
    [{ serviceTier: { type: 'priority' } }, 'priority'],
    [{ serviceTier: { type: 'a-new-one' } }, 'priority'],
    [{ performanceConfig: { latency: 'optimized' } }, 'optimized'],
  ])('%j may cost as much as %s', (extra, tier) => {
    expect(converse(extra).service_tier).toBe(tier)
  })

  test('is of no use below the thinking budget', () => {
    const thinking = { type: 'enabled', budget_tokens: 2_000 }
    const extra = { inferenceConfig: { maxTokens: 5_000 }, additionalModelRequestFields: { thinking } }
    expect(converse(extra)).toMatchObject({ unbounded: null, output: { max_tokens: 5_000, min_tokens: 2_001 } })
  })

  test('Nova, which takes no bound at its highest effort, is bounded by its window alone', () => {
    const effort = (maxReasoningEffort: string) => ({ reasoningConfig: { type: 'enabled', maxReasoningEffort } })
    const asked = (maxReasoningEffort: string, model = NOVA) =>
      converse({ additionalModelRequestFields: effort(maxReasoningEffort) }, model).output
    const whole = { max_tokens: 10_000_000, min_tokens: 10_000_000, choices: 1 }
    expect(asked('high')).toEqual(whole)
    expect(boundOf('invoke_model', NOVA, { ...HELLO, inferenceConfig: effort('high') }).output).toEqual(whole)
    const inside = { additionalModelRequestFields: { inferenceConfig: effort('high') } }
    expect(converse(inside, NOVA)).toMatchObject({ unbounded: null, output: whole })
    expect(asked('high', 'arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/a1')).toEqual(whole)
    expect(asked('medium')?.max_tokens).toBeNull()
  })

  test('survives nesting of any depth', () => {
    let block: JsonObject = { text: 'a' }
    for (let depth = 0; depth < 20_000; depth++) block = { toolResult: { content: [block] } }
    const asked = { ...askedOf(CLAUDE, {}), body: user(block), bytes: 100 }
    expect(operationOf('converse').readBound?.(asked)).toMatchObject({ open_input: null })
  })

  test('gets the granted bound where its own is larger or absent', () => {
    const edits = (body: JsonObject, granted: number | null) =>
      operationOf('converse').edits?.(askedOf(CLAUDE, body), granted)
    const own = { inferenceConfig: { maxTokens: 10, topP: 0.5 } }
    expect(edits(own, null)).toEqual([])
    expect(edits(own, 10)).toEqual([])
    expect(edits(own, 5)).toEqual([{ field: 'inferenceConfig', value: { maxTokens: 5, topP: 0.5 } }])
    expect(edits({}, null)).toEqual([])
    expect(edits({}, 5)).toEqual([{ field: 'inferenceConfig', value: { maxTokens: 5 } }])
  })
})

describe('InvokeModel', () => {
  const MESSAGE = {
    anthropic_version: 'bedrock-2023-05-31',
    max_tokens: 100,
    messages: [{ role: 'user', content: 'hello' }],
  }

  test.each<[string, JsonObject, number | null, number]>([
    [CLAUDE, MESSAGE, 100, 1],
    [NOVA, { ...HELLO, inferenceConfig: { max_new_tokens: 50 } }, 50, 1],
    [LLAMA, { prompt: 'hello', max_gen_len: 50 }, 50, 1],
    [LLAMA, { prompt: 'hello' }, null, 1],
    [MISTRAL, { prompt: 'hello', max_tokens: 50 }, 50, 1],
    ['mistral.mistral-large-2407-v1:0', { messages: [{ role: 'user', content: 'a' }], max_tokens: 50 }, 50, 1],
    ['openai.gpt-oss-20b-1:0', { messages: [], max_completion_tokens: 50 }, 50, 1],
    [TITAN, { inputText: 'a', textGenerationConfig: { maxTokenCount: 50 } }, 50, 1],
    ['cohere.command-text-v14', { prompt: 'a', max_tokens: 50, num_generations: 3 }, 50, 3],
  ])('%s %j', (model, body, max_tokens, choices) => {
    const bound = boundOf('invoke_model', model, body)
    expect(bound).toMatchObject({ model, unbounded: null, open_input: null, output: { max_tokens, choices } })
    expect(bound.input_tokens).toBeGreaterThanOrEqual(size(body))
  })

  test('what is behind an image by URL is not known to be one', () => {
    const messages = [{ role: 'user', content: [{ type: 'image_url', image_url: { url: 'https://example.com/a' } }] }]
    expect(boundOf('invoke_model', 'mistral.pixtral-large-2502-v1:0', { messages }).open_input).toBe(
      'messages[0].content[0].image_url',
    )
  })

  test('the newer name of the bound counts where the model is OpenAI’s, or beside the older one', () => {
    const unbounded = (model: string, more: JsonObject) =>
      boundOf('invoke_model', model, { messages: [], max_completion_tokens: 50, ...more }).unbounded
    expect(unbounded('us.openai.gpt-oss-20b-1:0', {})).toBeNull()
    expect(unbounded('qwen.qwen3-32b-v1:0', {})).toBe('max_completion_tokens')
    expect(unbounded('qwen.qwen3-32b-v1:0', { max_tokens: 50 })).toBeNull()
    expect(unbounded(MISTRAL, {})).toBe('max_completion_tokens')
  })

  test('of embeddings has no output', () => {
    expect(boundOf('invoke_model', 'amazon.titan-embed-text-v2:0', { inputText: 'a' })).toMatchObject({
      output: null,
      unbounded: null,
    })
    expect(boundOf('invoke_model', 'cohere.embed-english-v3', { texts: ['a'], images: ['b'] }).unbounded).toBe('images')
  })

  test.each<[string, JsonObject, Record<string, string>, string]>([
    ['acme.new-v1', { prompt: 'a' }, {}, 'modelId'],
    [CLAUDE, { ...MESSAGE, speed: 'fast' }, {}, 'speed'],
    ['openai.gpt-oss-20b-1:0', { messages: [], service_tier: 'flex' }, {}, 'service_tier'],
    ['qwen.qwen3-32b-v1:0', { messages: [], service_tier: 'priority' }, {}, 'service_tier'],
    ['mistral.mistral-large-2407-v1:0', { messages: [], service_tier: 'default' }, {}, 'service_tier'],
    [NOVA, { ...HELLO, serviceTier: { type: 'priority' } }, {}, 'serviceTier'],
    [CLAUDE, { ...MESSAGE, tools: [{ type: 'web_search_20250305', name: 'web_search' }] }, {}, 'tools[0]'],
    [LLAMA, { prompt: 'a', images: ['b'] }, {}, 'images'],
    [TITAN, { inputText: 'a', textGenerationConfig: { maxtokencount: 5 } }, {}, 'textGenerationConfig.maxtokencount'],
    [LLAMA, { prompt: 'a' }, { 'x-amzn-bedrock-guardrailidentifier': 'g' }, 'x-amzn-bedrock-guardrailidentifier'],
    [
      LLAMA,
      { prompt: 'a' },
      { 'x-amzn-bedrock-service-tier': 'priority', 'x-amzn-bedrock-performanceconfig-latency': 'optimized' },
      'x-amzn-bedrock-performanceconfig-latency',
    ],
  ])('%s %j %j is not bounded, and named', (model, body, headers, name) => {
    expect(boundOf('invoke_model', model, body, { headers: new Headers(headers) }).unbounded).toBe(name)
  })

  test('what a template writes around prompts, tools and documents is inside of the bound', () => {
    const chat = { messages: [{ role: 'user', content: 'a' }] }
    for (const [model, body, added] of [
      [LLAMA, { prompt: 'a' }, 300],
      ['openai.gpt-oss-20b-1:0', chat, 300],
      ['cohere.command-r-v1:0', { message: 'a' }, 300],
      ['cohere.command-r-v1:0', { message: 'a', documents: [{ text: 'b' }] }, 1_300],
      ['cohere.command-r-v1:0', { message: 'a', tools: [{ name: 'b' }] }, 1_300],
    ] as const)
      expect(boundOf('invoke_model', model, body).input_tokens).toBeGreaterThanOrEqual(size(body) + added)
  })

  test('many texts to embed are not cut down to one context window', () => {
    const body = { texts: Array.from({ length: 50 }, () => 'x'.repeat(2_000)), input_type: 'search_document' }
    const { input_tokens, rounds } = boundOf('invoke_model', 'cohere.embed-english-v3', body)
    expect(input_tokens).toBeLessThan(512)
    expect(input_tokens * rounds).toBeGreaterThanOrEqual(100_000)
  })

  test.each<[string, JsonObject, JsonObject]>([
    [CLAUDE, MESSAGE, { max_tokens: 5 }],
    [NOVA, { inferenceConfig: { max_new_tokens: 50 } }, { inferenceConfig: { max_new_tokens: 5 } }],
    [LLAMA, { prompt: 'a' }, { max_gen_len: 5 }],
    [LLAMA, { prompt: 'a', max_gen_len: 3 }, {}],
    [MISTRAL, { prompt: 'a', max_tokens: 50 }, { max_tokens: 5 }],
    [MISTRAL, { messages: [] }, { max_tokens: 5 }],
    ['openai.gpt-oss-20b-1:0', { messages: [] }, { max_completion_tokens: 5 }],
    ['us.openai.gpt-5.6-sol', { messages: [] }, { max_completion_tokens: 5 }],
    ['qwen.qwen3-32b-v1:0', { messages: [] }, { max_tokens: 5 }],
    ['qwen.qwen3-32b-v1:0', { messages: [], max_completion_tokens: null }, { max_tokens: 5 }],
    [TITAN, { textGenerationConfig: { topP: 1 } }, { textGenerationConfig: { topP: 1, maxTokenCount: 5 } }],
    ['acme.new-v1', { prompt: 'a' }, {}],
  ])('%s %j gets a granted bound of 5 as %j', (model, body, written) => {
    const edits = operationOf('invoke_model').edits?.(askedOf(model, body), 5) ?? []
    expect(Object.fromEntries(edits.map(({ field, value }) => [field, value]))).toEqual(written)
  })

  test('a bound inside of another field is never raised', () => {
    const edits = (config: object, granted: number | null) =>
      operationOf('invoke_model').edits?.(askedOf(TITAN, { textGenerationConfig: { ...config } }), granted)
    const written = (value: object) => [{ field: 'textGenerationConfig', value }]
    expect(edits({ maxTokenCount: 3 }, null)).toEqual([])
    expect(edits({ maxTokenCount: 3 }, 5)).toEqual([])
    expect(edits({ maxTokenCount: 9 }, 5)).toEqual(written({ maxTokenCount: 5 }))
    expect(edits({ topP: 1 }, null)).toEqual([])
  })

  test('more choices than any model gives are refused, as the product with their length must stay exact', () => {
    const read = (num_generations: number) =>
      operationOf('invoke_model').readBound?.(
        askedOf('cohere.command-text-v14', { prompt: 'a', max_tokens: 50, num_generations }),
      )
    expect(read(128)).toMatchObject({ output: { choices: 128 } })
    expect(read(129)).toMatchObject({
      code: 'invalid_request',
      field: 'num_generations',
      message: expect.stringContaining('at most 128'),
    })
  })
})

describe('for any body', () => {
  const text = fc.string({ unit: 'grapheme', maxLength: 200 })
  const bound = fc.option(fc.integer({ min: 1, max: 40 }), { nil: undefined })
  const image = fc.base64String({ maxLength: 400 }).map((bytes) => ({ image: { format: 'png', source: { bytes } } }))
  const content = fc.array(
    fc.oneof(
      text.map((text) => ({ text })),
      image,
      fc.constant({ cachePoint: { type: 'default' } }),
    ),
  )
  const calls = fc.oneof(
    fc.record({ content, maxTokens: bound }).map(({ content, maxTokens }) => ({
      model: CLAUDE,
      name: 'converse',
      body: {
        messages: [{ role: 'user', content }],
        ...(maxTokens && { inferenceConfig: { maxTokens } }),
      } as JsonObject,
    })),
    fc
      .record({ prompt: text, max_gen_len: bound, model: fc.constantFrom(LLAMA, MISTRAL) })
      .map(({ model, prompt, max_gen_len }) => ({
        model,
        name: 'invoke_model',
        body: {
          prompt,
          ...(max_gen_len && { [model === LLAMA ? 'max_gen_len' : 'max_tokens']: max_gen_len }),
        } as JsonObject,
      })),
    fc.record({ content: text, max_tokens: fc.integer({ min: 1, max: 40 }) }).map(({ content, max_tokens }) => ({
      model: CLAUDE,
      name: 'invoke_model',
      body: {
        anthropic_version: 'bedrock-2023-05-31',
        max_tokens,
        messages: [{ role: 'user', content }],
      } as JsonObject,
    })),
  )

  test('the bound is never below what the fake Bedrock bills, and its usage is read', () => {
    fc.assert(
      fc.property(calls, ({ model, name, body }) => {
        const { input_tokens, output } = boundOf(name, model, body)
        const action = name === 'converse' ? 'converse' : 'invoke'
        const bytes = Buffer.from(JSON.stringify(body))
        const headers = { authorization: `Bearer ${BEDROCK_CREDENTIAL}` }
        const answer = answerBedrock('POST', `/model/${encodeURIComponent(model)}/${action}`, headers, bytes)
        const head = headOf('json', answer.headers)
        const { usage } = meterOnce(operationOf(name), askedOf(model, body), head, Buffer.from(String(answer.steps[0])))
        expect(usage?.input_tokens).toBeLessThanOrEqual(input_tokens)
        const most = output?.max_tokens ?? bedrock.maxOutputTokens(model) ?? Number.POSITIVE_INFINITY
        expect(usage?.output_tokens).toBeLessThanOrEqual(most * (output?.choices ?? 0))
      }),
    )
  })
})
