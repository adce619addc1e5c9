import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { answerGemini, GOOGLE_CREDENTIAL } from '../../../src/local/fake-gemini.ts'
import type { Asked, Bound, JsonObject, Operation } from '../../../src/providers/dialect.ts'
import { gemini } from '../../../src/providers/gemini.ts'
import { fieldsOf, startReading } from '../../../src/providers/gemini-fields.ts'
import { askedWith } from './replay.ts'

const operation = (name: string) => gemini.operations.find((one) => one.name === name) as Operation
const generate = operation('generate_content')
const HELLO = { contents: [{ role: 'user', parts: [{ text: 'Hello' }] }] }

const asked = (body: JsonObject, more: Partial<Asked> = {}) =>
  askedWith(body, { bytes: new TextEncoder().encode(JSON.stringify(body)).length, params: MODEL, ...more })
const MODEL = { model: 'gemini-2.5-flash:generateContent' }

const read = (body: JsonObject, more: Partial<Asked> = {}, of = generate) => of.readBound?.(asked(body, more))
function boundOf(body: JsonObject, more: Partial<Asked> = {}, of = generate): Bound {
  const bound = read(body, more, of)
  if (!bound || 'code' in bound) throw new Error(JSON.stringify(bound))
  return bound
}
const config = (generationConfig: JsonObject) => ({ ...HELLO, generationConfig })
const part = (one: JsonObject) => ({ contents: [{ role: 'user', parts: [one] }] })
const film = (more: JsonObject) => part({ fileData: { fileUri: 'https://a/b', mimeType: 'video/mp4' }, ...more })
const answeredFilm = (more: JsonObject) =>
  part({ functionResponse: { parts: [{ inlineData: { mimeType: 'video/mp4', data: 'AAAA' }, ...more }] } })

test('a name that is far longer than any field’s is read as fast as other text', () => {
  const timeOf = (name: string) => {
    const started_at = performance.now()
    fieldsOf({ [name]: 1 }, '', startReading())
    return performance.now() - started_at
  }
  const plain = Math.max(1, timeOf('a'.repeat(2_000_000)))
  expect(timeOf('_a'.repeat(1_000_000))).toBeLessThan(20 * plain)
})

describe('the output', () => {
  test.each<[JsonObject, object]>([
    [{}, { max_tokens: null, min_tokens: 1, choices: 1 }],
    [
      { maxOutputTokens: 100, candidateCount: 3 },
      { max_tokens: 100, min_tokens: 1, choices: 3 },
    ],
    [
      { max_output_tokens: 100, candidate_count: 3 },
      { max_tokens: 100, min_tokens: 1, choices: 3 },
    ],
    [
      { maxOutputTokens: 100, thinkingConfig: { thinkingBudget: 40 } },
      { max_tokens: 100, min_tokens: 41, choices: 1 },
    ],
    [
      { maxOutputTokens: 100, thinking_config: { thinking_budget: 400 } },
      { max_tokens: 100, min_tokens: 100, choices: 1 },
    ],
    [
      { maxOutputTokens: 100, thinkingConfig: { thinkingBudget: -1 } },
      { max_tokens: 100, min_tokens: 1, choices: 1 },
    ],
  ])('of %j', (generationConfig, output) => {
    expect(boundOf(config(generationConfig)).output).toEqual(output)
  })

  test.each<[JsonObject, string]>([
    [config({ maxOutputTokens: '100' }), 'generationConfig.maxOutputTokens'],
    [config({ maxOutputTokens: 0 }), 'generationConfig.maxOutputTokens'],
    [config({ max_output_tokens: 1.5 }), 'generationConfig.maxOutputTokens'],
    [config({ candidateCount: 9 }), 'generationConfig.candidateCount'],
    [config({ thinkingConfig: { thinkingBudget: '9' } }), 'generationConfig.thinkingConfig.thinkingBudget'],
    [config({ thinkingConfig: 9 }), 'generationConfig.thinkingConfig'],
    [{ ...HELLO, generationConfig: [] }, 'generationConfig'],
    [{}, 'contents'],
    [{ contents: 'Hello' }, 'contents'],
    [{ contents: ['Hello'] }, 'contents[0]'],
    [{ ...HELLO, model: 'models/gemini-3-pro' }, 'model'],
  ])('%j is refused by the name of the field', (body, field) => {
    expect(read(body)).toMatchObject({ code: 'invalid_request', field })
  })

  test.each<[JsonObject, string]>([
    [{ ...config({ maxOutputTokens: 1 }), generation_config: { maxOutputTokens: 9 } }, 'generationConfig'],
    [config({ maxOutputTokens: 1, max_output_tokens: 9 }), 'generationConfig.maxOutputTokens'],
    [config({ maxOutputTokens: 1, max_output_tokens: null }), 'generationConfig.maxOutputTokens'],
    [{ ...HELLO, tools: [{ google_search: null, googleSearch: {} }] }, 'tools[0].googleSearch'],
    [part({ fileData: null, file_data: {} }), 'contents[0].parts[0].fileData'],
  ])('a field in both spellings is refused: %j', (body, field) => {
    expect(read(body)).toMatchObject({ code: 'invalid_request', field })
  })

  test.each<[JsonObject, JsonObject | null]>([
    [HELLO, { generationConfig: { maxOutputTokens: 50 } }],
    [config({ maxOutputTokens: 90, topK: 1 }), { generationConfig: { maxOutputTokens: 50, topK: 1 } }],
    [{ ...HELLO, generation_config: { max_output_tokens: 90 } }, { generation_config: { max_output_tokens: 50 } }],
    [{ ...HELLO, generation_config: { topK: 1 } }, { generation_config: { topK: 1, maxOutputTokens: 50 } }],
    [{ ...HELLO, generationConfig: null }, { generationConfig: { maxOutputTokens: 50 } }],
    [config({ maxOutputTokens: 50 }), null],
  ])('the granted bound is written where %j has a larger one or none, in its own spelling', (body, edited) => {
    const edits = generate.edits?.(asked(body), 50) ?? []
    expect(Object.fromEntries(edits.map(({ field, value }) => [field, value]))).toEqual(edited ?? {})
    expect(generate.edits?.(asked(body), null)).toEqual([])
  })
})

describe('what bytes do not bound is named', () => {
  test.each<[JsonObject, string, boolean]>([
    [part({ fileData: { fileUri: 'https://a/b' } }), 'contents[0].parts[0].fileData', true],
    [part({ file_data: { file_uri: 'https://a/b' } }), 'contents[0].parts[0].fileData', true],
    [
      part({ fileData: { fileUri: 'https://a/b', mimeType: 'application/pdf' } }),
      'contents[0].parts[0].fileData',
      false,
    ],
    [part({ fileData: { fileUri: 'https://a/b', mimeType: 'video/mp4' } }), 'contents[0].parts[0].fileData', true],
    [
      part({ fileData: { fileUri: 'https://youtu.be/b', mimeType: 'image/png' } }),
      'contents[0].parts[0].fileData',
      true,
    ],
    [part({ inlineData: { mimeType: 'audio/ogg', data: 'AAAA' } }), 'contents[0].parts[0].inlineData', true],
    [part({ inline_data: { mime_type: 'video/mp4', data: 'AAAA' } }), 'contents[0].parts[0].inlineData', true],
    [part({ inlineData: { mimeType: 'application/pdf', data: 'AAAA' } }), 'contents[0].parts[0].inlineData', false],
    [part({ inlineData: { mimeType: 'image/gif', data: 'AAAA' } }), 'contents[0].parts[0].inlineData', false],
    [part({ functionResponse: { parts: [{ fileData: {} }] } }), 'contents[0].parts[0].functionResponse.parts', true],
    [part({ somethingNew: {} }), 'contents[0].parts[0].somethingNew', false],
    [film({ mediaProcessing: 'STATIC' }), 'contents[0].parts[0].fileData', true],
    [film({ mediaProcessing: 'MEDIA_PROCESSING_UNSPECIFIED' }), 'contents[0].parts[0].fileData', true],
    [answeredFilm({ mediaProcessing: 'STATIC' }), 'contents[0].parts[0].functionResponse.parts[0].inlineData', true],
    [{ ...HELLO, systemInstruction: { parts: { fileData: {} } } }, 'systemInstruction.parts[0].fileData', true],
    [{ ...HELLO, tools: { computer_use: {} } }, 'tools[0].computerUse', false],
    [{ ...HELLO, continuationToken: 'x' }, 'continuationToken', false],
  ])('%j opens the input', (body, open_input, audio_input) => {
    expect(boundOf(body)).toMatchObject({ open_input, audio_input, unbounded: null })
  })

  test.each<[JsonObject, string]>([
    [{ ...HELLO, tools: [{ functionDeclarations: [] }, { googleSearch: {} }] }, 'tools[1].googleSearch'],
    [{ ...HELLO, tools: [{ google_search: {} }] }, 'tools[0].googleSearch'],
    [{ ...HELLO, tools: { url_context: {} } }, 'tools[0].urlContext'],
    [{ ...HELLO, tools: [{ codeExecution: {} }] }, 'tools[0].codeExecution'],
    [{ ...HELLO, tools: [{ googleMaps: {} }] }, 'tools[0].googleMaps'],
    [{ ...HELLO, tools: [{ fileSearch: {} }] }, 'tools[0].fileSearch'],
    [{ ...HELLO, tools: [{ mcpServers: [{}] }] }, 'tools[0].mcpServers'],
    [film({ mediaProcessing: 'AGENTIC' }), 'contents[0].parts[0].mediaProcessing'],
    [film({ media_processing: 2 }), 'contents[0].parts[0].mediaProcessing'],
    [answeredFilm({ mediaProcessing: 'AGENTIC' }), 'contents[0].parts[0].functionResponse.parts[0].mediaProcessing'],
    [{ ...HELLO, cached_content: 'cachedContents/1' }, 'cachedContent'],
    [{ ...HELLO, somethingNew: 1 }, 'somethingNew'],
    [{ ...HELLO, max_outputTokens: 1 }, 'max_outputTokens'],
    [config({ max_outputTokens: 1 }), 'generationConfig.max_outputTokens'],
    [config({ routingConfig: {} }), 'generationConfig.routingConfig'],
    [config({ responseModalities: ['TEXT', 'IMAGE'] }), 'generationConfig.responseModalities'],
    [config({ thinkingConfig: { effort: 9 } }), 'generationConfig.thinkingConfig.effort'],
  ])('%j is bounded by nothing', (body, unbounded) => {
    expect(boundOf(body).unbounded).toBe(unbounded)
  })

  test.each(['gemini-2.5-flash-image', 'gemini-nano-banana-2.1', 'nano-banana-pro-preview', 'gemini-omni-1.2-flash'])(
    'what %s makes of itself, too',
    (model) => {
      expect(boundOf(HELLO, { params: { model: `${model}:generateContent` } }).unbounded).toBe('model')
    },
  )

  test('a model is what its name says in capitals, too: its price is found by either', () => {
    expect(boundOf(HELLO, { params: { model: 'gemini-2.5-flash-Image:generateContent' } }).unbounded).toBe('model')
    expect(boundOf(HELLO, { params: { model: 'gemini-2.5-flash-preview-TTS:generateContent' } }).audio_output).toBe(
      true,
    )
  })

  test('a still image that a model is shown is bounded', () => {
    const image = part({ inlineData: { mimeType: 'image/png', data: 'A'.repeat(1e5) }, mediaProcessing: 'STATIC' })
    expect(boundOf(image)).toMatchObject({ open_input: null, audio_input: false })
    expect(boundOf(image).input_tokens).toBeLessThan(6_000)
    expect(boundOf(image, { params: { model: 'gemini-4-x:generateContent' } }).open_input).not.toBeNull()
  })

  test('what is harmless is bounded by its bytes', () => {
    const body = {
      ...HELLO,
      model: 'models/gemini-2.5-flash',
      system_instruction: { parts: { text: 'Be kind' } },
      tools: [{ functionDeclarations: [{ name: 'f' }], googleSearch: null }],
      safetySettings: [],
      labels: {},
      generationConfig: { responseModalities: ['Text'], responseSchema: { type: 'OBJECT' }, temperature: 1 },
    }
    expect(boundOf(body)).toMatchObject({ open_input: null, unbounded: null, audio_output: false })
    expect(boundOf(body).input_tokens).toBeGreaterThanOrEqual(JSON.stringify(body).length + 2_000)
    expect(boundOf(config({ response_modalities: ['AUDIO'] })).audio_output).toBe(true)
  })

  test.each([
    [undefined, null],
    ['standard', null],
    ['flex', null],
    ['PRIORITY', 'priority'],
    [3, 'priority'],
  ])('tier %j may be answered by %j', (service_tier, tier) => {
    expect(boundOf({ ...HELLO, service_tier }).service_tier).toBe(tier)
  })
})

test.each(['responseSchema', 'responseJsonSchema', '_responseJsonSchema'])('%s adds what declares it', (field) => {
  const body = config({ [field]: { type: 'object' } })
  expect(boundOf(body).input_tokens).toBeGreaterThanOrEqual(JSON.stringify(body).length + 1_000)
})

describe('the query', () => {
  test.each([
    '$req=x',
    '$httpMethod=GET',
    '$httpHeaders=x',
    'fields=candidates',
    'access_token=x',
    'alt=proto',
    'alt=sse&$alt=json',
  ])('?%s is refused', (query) => {
    expect(read(HELLO, { query: new URLSearchParams(query) })).toMatchObject({ code: 'invalid_request' })
  })

  test.each(['count_tokens', 'models_list', 'models_get'])('of %s is read as strictly', (name) => {
    const refusal = (query: string) => operation(name).refuse?.(asked({}, { query: new URLSearchParams(query) }))
    expect(refusal('$httpMethod=POST')).toMatchObject({ code: 'invalid_request', field: '$httpMethod' })
    expect(refusal('alt=json')).toBeNull()
    expect(operation('models_list').refuse?.(asked({}, { query: new URLSearchParams('pageSize=5') }))).toBeNull()
  })

  test('may ask for events', () => {
    const bound = boundOf(HELLO, { query: new URLSearchParams('alt=sse') }, operation('stream_generate_content'))
    expect(bound).toMatchObject({ stream: true, model: 'gemini-2.5-flash' })
  })
})

describe('embeddings', () => {
  const one = operation('embed_content')
  const many = operation('batch_embed_contents')
  const content = { parts: [{ text: 'Hello' }] }

  test('are bounded by their bytes and have no output', () => {
    expect(boundOf({ content, task_type: 'X' }, {}, one)).toMatchObject({ output: null, unbounded: null })
    const requests = [{ model: 'models/gemini-2.5-flash', content }]
    expect(boundOf({ requests }, {}, many)).toMatchObject({ output: null, unbounded: null, open_input: null })
  })

  test('many in a batch are not cut down to one context window', () => {
    const requests = Array.from({ length: 50 }, () => ({ content: { parts: [{ text: 'x'.repeat(2_000) }] } }))
    const { input_tokens, rounds } = boundOf({ requests }, {}, many)
    expect(input_tokens).toBeLessThan(2_048)
    expect(input_tokens * rounds).toBeGreaterThanOrEqual(100_000)
  })

  test('of media, of another model or with unknown fields are not', () => {
    expect(boundOf({ content: { parts: [{ inlineData: {} }] } }, {}, one).unbounded).toBe('content')
    expect(boundOf({ requests: [{ content }, { content, new: 1 }] }, {}, many).unbounded).toBe('requests[1].new')
    expect(read({ requests: [{ content, model: 'models/other' }] }, {}, many)).toMatchObject({
      field: 'requests[0].model',
    })
    expect(read({}, {}, many)).toMatchObject({ field: 'requests' })
  })
})

test('for any body the bound is never below what the provider may bill', () => {
  const text = fc.string({ unit: 'binary', maxLength: 200 })
  const spelled = (camel: string, snake: string) => fc.constantFrom(camel, snake)
  const body = fc
    .record({
      texts: fc.array(text, { minLength: 1, maxLength: 4 }),
      max: fc.option(fc.integer({ min: 1, max: 30 })),
      candidates: fc.option(fc.integer({ min: 1, max: 8 })),
      configName: spelled('generationConfig', 'generation_config'),
      maxName: spelled('maxOutputTokens', 'max_output_tokens'),
      countName: spelled('candidateCount', 'candidate_count'),
      tool: fc.boolean(),
    })
    .map(({ texts, max, candidates, configName, maxName, countName, tool }) => ({
      contents: texts.map((one) => ({ role: 'user', parts: [{ text: tool ? `${one} tool` : one }] })),
      ...(tool && { tools: [{ functionDeclarations: [{ name: 'f', parameters: {} }] }] }),
      [configName]: { ...(max && { [maxName]: max }), ...(candidates && { [countName]: candidates }) },
    }))
  fc.assert(
    fc.property(body, (one) => {
      const bytes = Buffer.from(JSON.stringify(one))
      const bound = boundOf(one, { bytes: bytes.length })
      const url = new URL('http://fake/v1beta/models/gemini-2.5-flash:generateContent')
      const script = answerGemini('POST', url, { 'x-goog-api-key': GOOGLE_CREDENTIAL }, bytes)
      const { usageMetadata } = JSON.parse(String(script.steps[0]))
      const most =
        (bound.output?.max_tokens ?? gemini.maxOutputTokens('gemini-2.5-flash') ?? 0) * (bound.output?.choices ?? 0)
      expect(bound.input_tokens).toBeGreaterThanOrEqual(usageMetadata.promptTokenCount)
      expect(most).toBeGreaterThanOrEqual(usageMetadata.candidatesTokenCount)
    }),
  )
})
