import { describe, expect, test } from 'vitest'
import { NO_USAGE, UNREAD } from '../../../src/providers/answer.ts'
import type { Bound, JsonObject, Operation } from '../../../src/providers/dialect.ts'
import { shortenStrings } from '../../../src/providers/long-strings.ts'
import { operation } from './openai-operations.ts'
import { askedWith, headOf, meterOnce, readings, vector } from './replay.ts'

const FILE = { name: 'a.png', type: 'image/png', size: 1_000_000 }

const read = (one: Operation, body: JsonObject) => one.readBound?.(askedWith(body)) ?? null
function bound(name: string, body: JsonObject): Bound {
  const found = read(operation(name), body)
  if (!found || 'code' in found) throw new Error(JSON.stringify(found))
  return found
}
const wholeInput = ({ input_tokens, rounds }: Bound) => input_tokens * rounds
const refusal = (name: string, body: JsonObject) => read(operation(name), body)
const json = (name: string, body: JsonObject, answer: unknown) =>
  meterOnce(operation(name), body, false, JSON.stringify(answer))

describe('legacy completions', () => {
  const BODY = { model: 'gpt-3.5-turbo-instruct', prompt: 'Hello', max_tokens: 10 }

  test.each([
    [{}, 1],
    [{ prompt: undefined }, 1],
    [{ n: 2 }, 2],
    [{ n: 2, best_of: 5 }, 5],
    [{ prompt: ['a', 'b', 'c'] }, 3],
    [{ prompt: [1, 2, 3] }, 1],
    [{ prompt: [[1, 2], [3]], n: 3 }, 6],
    [{ prompt: [] }, 1],
  ])('%j answers %i times', (extra, choices) => {
    expect(bound('completions', { ...BODY, ...extra }).output).toEqual({ max_tokens: 10, min_tokens: 1, choices })
  })

  test('several prompts may each fill the context window', () => {
    const body = { ...BODY, prompt: Array.from({ length: 10 }, () => 'x'.repeat(10_000)) }
    const { input_tokens, rounds } = bound('completions', body)
    expect(input_tokens).toBeLessThanOrEqual(256)
    expect(input_tokens * rounds).toBeGreaterThanOrEqual(JSON.stringify(body).length)
  })

  test('a suffix counts for each prompt, as long as normalizing may make it', () => {
    // One character, which becomes 18: 33 bytes.
    const suffix = '\ufdfa'.repeat(1_000)
    const tokens = wholeInput(bound('completions', { ...BODY, prompt: Array(10).fill('a'), suffix }))
    expect(tokens).toBeGreaterThan(9.5 * 33_000)
    expect(tokens).toBeLessThan(10.5 * 33_000)
  })

  test.each([
    ['n', 129],
    ['best_of', 0],
    ['prompt', 7],
    ['stream', 1],
    ['max_tokens', -1],
    ['stream_options', 'x'],
  ])('a wrong field is named: %s: %j', (field, value) => {
    expect(refusal('completions', { ...BODY, [field]: value })).toMatchObject({ field })
  })

  test('are clamped, and asked for usage in streams, whose chunk is dropped', () => {
    const { edits, filter } = operation('completions')
    const stream = askedWith({ ...BODY, stream: true })
    expect(edits?.(stream, 4)).toEqual([
      { field: 'stream_options', value: { include_usage: true } },
      { field: 'max_tokens', value: 4 },
    ])
    expect(edits?.(askedWith({ ...BODY, max_tokens: null }), 4)).toEqual([{ field: 'max_tokens', value: 4 }])
    expect(edits?.(askedWith({ ...BODY, max_tokens: 0 }), 4)).toEqual([])
    const dropped = filter?.(stream)
    const passed = dropped ? new TextDecoder().decode(dropped.push(vector('openai-completions'))) : ''
    expect(passed).not.toContain('prompt_tokens')
    expect(passed).toContain('[DONE]')
  })

  test('streams read alike at every chunk boundary', () => {
    expect(
      readings(operation('completions'), { ...BODY, n: 2, stream: true }, true, vector('openai-completions')),
    ).toEqual([
      {
        ...UNREAD,
        usage: { ...NO_USAGE, input_tokens: 11, output_tokens: 4 },
        complete: true,
        seen_output_bytes: 5,
        may_hide_output: false,
        response_model: 'gpt-3.5-turbo-instruct:20230824-v2',
      },
    ])
  })

  test('a stream without [DONE] is over once each choice of each prompt is', () => {
    const body = { ...BODY, prompt: ['a', 'b'], n: 2, stream: true }
    const finish = (index: number) =>
      `data: ${JSON.stringify({ choices: [{ index, text: '', finish_reason: 'stop' }] })}\n\n`
    const complete = (...indexes: number[]) =>
      meterOnce(operation('completions'), body, true, ...indexes.map(finish)).complete
    expect([complete(0, 1, 2), complete(0, 1, 2, 3)]).toEqual([false, true])
  })

  test('what scores a prompt shows the prompt alone, which is no output that was not counted', () => {
    const answer = { choices: [{ index: 0, text: 'Hello', finish_reason: 'length' }] }
    const scored = json('completions', { ...BODY, echo: true, logprobs: 1, max_tokens: 0 }, answer)
    expect(scored).toMatchObject({ complete: true, seen_output_bytes: 0 })
    for (const max_tokens of [10, null, undefined])
      expect(json('completions', { ...BODY, echo: true, max_tokens }, answer).seen_output_bytes).toBe(5)
  })

  test('what lost among best_of is hidden', () => {
    expect(json('completions', { ...BODY, best_of: 3 }, { choices: [] }).may_hide_output).toBe(true)
    expect(json('completions', { ...BODY, best_of: 1 }, { choices: [] }).may_hide_output).toBe(false)
  })
})

describe('embeddings', () => {
  const BODY = { model: 'text-embedding-3-small', input: 'Hello' }

  test.each(['Hello', ['a', 'b'], [1, 2, 3], [[100_257], [2]], Array(3_000).fill('x'.repeat(100))])(
    'the bound is the bytes, however many inputs there are',
    (input) => {
      const body = { ...BODY, input }
      const read = bound('embeddings', body)
      expect(read).toMatchObject({ output: null, unbounded: null, open_input: null })
      expect(wholeInput(read)).toBeGreaterThanOrEqual(JSON.stringify(body).length)
      expect(wholeInput(read)).toBeLessThan(JSON.stringify(body).length + read.rounds)
    },
  )

  test('wrong fields are named, new ones are unbounded', () => {
    expect(refusal('embeddings', { ...BODY, input: 7 })).toMatchObject({ field: 'input' })
    expect(refusal('embeddings', { input: 'x' })).toMatchObject({ field: 'model' })
    expect(bound('embeddings', { ...BODY, a_new_field: 1 }).unbounded).toBe('a_new_field')
    const shapes = { dimensions: 8, encoding_format: 'float', output_dimension: 8, output_dtype: 'int8' }
    expect(bound('embeddings', { ...BODY, ...shapes }).unbounded).toBeNull()
  })

  // https://openrouter.ai/docs/api/api-reference/embeddings, https://deepinfra.com: some models take media by URL, too.
  test.each([
    [[{ content: [{ type: 'image_url', image_url: { url: 'https://a.example/b.png' } }] }], 'input[0]'],
    [['a', [{ type: 'audio_url', audio_url: { url: 'https://a.example/b.mp3' } }]], 'input[1]'],
    [['a', 'b', { image: 'https://a.example/b.png' }], 'input[2]'],
    [[[1, 'https://a.example/b.png']], 'input[0]'],
  ])('an input that is neither text nor tokens is not bounded by its bytes: %j', (input, field) => {
    expect(bound('embeddings', { ...BODY, input }).unbounded).toBe(field)
  })

  test('usage is read strictly', () => {
    const answer = { data: [], model: 'm', usage: { prompt_tokens: 8, total_tokens: 8 } }
    expect(json('embeddings', BODY, answer)).toMatchObject({
      complete: true,
      usage: { input_tokens: 8, output_tokens: 0 },
    })
    for (const usage of [
      null,
      {},
      { prompt_tokens: '8' },
      { prompt_tokens: -1 },
      { prompt_tokens: 8, total_tokens: 1.5 },
      { prompt_tokens: 0, total_tokens: 0 },
    ])
      expect(json('embeddings', BODY, { ...answer, usage }).usage).toBeNull()
  })

  // What the AI SDK sends in one call, and what OpenAI's own does.
  test.each([
    ['numbers', 700, Array(3_072).fill(-0.012345678)],
    ['base64', 1_100, 'A'.repeat(3_072 * 4 * (4 / 3))],
  ])('with more %s than is kept of an answer are charged their usage', (_, count, embedding) => {
    const data = Array.from({ length: count }, (_, index) => ({ object: 'embedding', index, embedding }))
    const answer = {
      object: 'list',
      data,
      model: 'text-embedding-3-large',
      usage: { prompt_tokens: 8, total_tokens: 8 },
    }
    expect(JSON.stringify(answer).length).toBeGreaterThan(16 * 2 ** 20)
    expect(json('embeddings', BODY, answer)).toMatchObject({
      complete: true,
      response_model: 'text-embedding-3-large',
      usage: { input_tokens: 8 },
    })
  })
})

describe('images', () => {
  const BODY = { model: 'gpt-image-1', prompt: 'A cat' }
  const USAGE = { input_tokens: 5, output_tokens: 100, input_tokens_details: { text_tokens: 5, image_tokens: 0 } }
  const usageOf = (usage: object) => json('images_generations', BODY, { data: [{}], usage }).usage

  test.each([
    ['gpt-image-1', {}, 7_300],
    ['gpt-image-1', { quality: 'low' }, 800],
    // OpenAI's prices of an image, $0.006 and $0.015 at $8 a million, make 750 and 1,875 tokens.
    ['gpt-image-1-mini', { quality: 'low' }, 1_300],
    ['gpt-image-1-mini', { quality: 'medium' }, 2_800],
    ['gpt-image-1.5', { quality: 'auto' }, 11_800],
    ['gpt-image-2', { quality: 'high' }, 30_300],
  ])('%s %j takes at most %i tokens an image', (model, extra, tokens) => {
    const output = { max_tokens: tokens, min_tokens: tokens, choices: 3 }
    expect(bound('images_generations', { ...BODY, model, ...extra, n: 3 })).toMatchObject({ output, unbounded: null })
    expect(bound('images_edits', { model, prompt: 'x', n: '3', image: FILE, ...extra })).toMatchObject({ output })
  })

  test('DALL-E is billed by the image', () => {
    expect(bound('images_generations', { model: 'dall-e-3', prompt: 'x' })).toMatchObject({ units: 1, input_tokens: 0 })
    expect(bound('images_variations', { model: 'dall-e-2', image: FILE, n: '4' })).toMatchObject({
      units: 4,
      output: null,
    })
    expect(json('images_variations', { model: 'dall-e-2', n: '2' }, { data: [{}, {}] }).usage).toEqual({
      ...NO_USAGE,
      units: 2,
    })
  })

  test('images and text are told apart, as far as the usage does so', () => {
    const input_tokens_details = { text_tokens: 60, image_tokens: 40 }
    const usage = { input_tokens: 100, input_tokens_details, output_tokens: 1_000 }
    const read = { ...NO_USAGE, input_tokens: 100, image_input_tokens: 40, output_tokens: 1_000 }
    expect(usageOf(usage)).toEqual({ ...read, image_output_tokens: 1_000 })
    const output_tokens_details = { text_tokens: 300, image_tokens: 700 }
    expect(usageOf({ ...usage, output_tokens_details })).toEqual({ ...read, image_output_tokens: 700 })
  })

  test('more that was cached than input is no usage', () => {
    const usage = (cached_tokens: number) => ({
      input_tokens: 10,
      input_tokens_details: { cached_tokens },
      output_tokens: 1,
    })
    expect(usageOf(usage(10))).toMatchObject({ cached_input_tokens: 10 })
    expect(usageOf(usage(11))).toBeNull()
  })

  test.each([
    undefined,
    null,
    {},
    { text_tokens: 60 },
    { image_tokens: 40 },
    { text_tokens: 60, image_tokens: 39 },
    { text_tokens: 60, image_tokens: 41 },
    { text_tokens: '60', image_tokens: 40 },
    { text_tokens: 140, image_tokens: -40 },
    [60, 40],
  ])('kinds of 100 tokens that do not add up make all of them images: %j', (details) => {
    const usage = {
      input_tokens: 100,
      output_tokens: 100,
      input_tokens_details: details,
      output_tokens_details: details,
    }
    expect(usageOf(usage)).toMatchObject({ image_input_tokens: 100, image_output_tokens: 100 })
  })

  test('the tokens of a model that writes an SVG are charged, too', () => {
    const svg_usage = { model: 'gpt-6-sol', input_tokens: 30, output_tokens: 400, reasoning_tokens: 100 }
    const usage = {
      ...NO_USAGE,
      input_tokens: 35,
      image_input_tokens: 30,
      output_tokens: 500,
      image_output_tokens: 500,
    }
    expect(json('images_generations', BODY, { data: [{}], usage: USAGE, svg_usage }).usage).toEqual(usage)
    const odd = { ...svg_usage, output_tokens: 'many' }
    expect(json('images_generations', BODY, { data: [{}], usage: USAGE, svg_usage: odd }).usage).toBeNull()
  })

  test.each([
    ...['auto', 'low', 'medium', 'high', 'standard', 'hd', '', null].map((quality) => ({ quality })),
    ...['png', 'jpeg', 'webp', '', null].map((output_format) => ({ output_format })),
    { safety_identifier: 'a' },
  ])('%j is bounded', (extra) => {
    expect(bound('images_generations', { ...BODY, ...extra }).unbounded).toBeNull()
  })

  test('every image that is sent counts, whatever its field is called', () => {
    const one = wholeInput(bound('images_edits', { ...BODY, image: FILE }))
    const form = { ...BODY, 'image[]': [FILE, FILE], markup: FILE, safety_identifier: 'a' }
    expect(bound('images_edits', form).unbounded).toBeNull()
    const three = wholeInput(bound('images_edits', form))
    expect(three - one).toBeGreaterThanOrEqual(20_000)
  })

  test.each([
    ['images_generations', { model: 'gpt-image-9', prompt: 'x' }, 'model'],
    ['images_generations', { ...BODY, a_new_field: 1 }, 'a_new_field'],
    ['images_edits', { ...BODY, Quality: 'low' }, 'Quality'],
    ['images_generations', { ...BODY, quality: 'xhigh' }, 'quality'],
    ['images_edits', { ...BODY, quality: 'max' }, 'quality'],
    ['images_generations', { ...BODY, output_format: 'gif' }, 'output_format'],
    ['images_edits', { ...BODY, output_format: 'svg' }, 'output_format'],
    ['images_generations', { ...BODY, frame_count: 16 }, 'frame_count'],
    ['images_generations', { ...BODY, complexity: 'high' }, 'complexity'],
  ])('%s: %j has no bound', (name, body, field) => {
    expect(bound(name, body).unbounded).toBe(field)
  })

  test.each([
    ['images_generations', { prompt: 'x' }, 'model'],
    ['images_generations', { ...BODY, n: 11 }, 'n'],
    ['images_generations', { ...BODY, quality: 1 }, 'quality'],
    ['images_edits', { prompt: 'x', image: FILE }, 'model'],
    ['images_edits', { ...BODY, n: '0' }, 'n'],
    ['images_edits', { ...BODY, n: ['1', '10'] }, 'n'],
    ['images_edits', { ...BODY, n: '1e1' }, 'n'],
    ['images_edits', { ...BODY, stream: 'True' }, 'stream'],
    ['images_edits', { ...BODY, quality: FILE }, 'quality'],
  ])('%s: %j is refused', (name, body, field) => {
    expect(refusal(name, body)).toMatchObject({ code: 'invalid_request', field })
  })

  test('streams read alike at every chunk boundary', () => {
    expect(readings(operation('images_generations'), { ...BODY, stream: true }, true, vector('openai-images'))).toEqual(
      [
        {
          ...UNREAD,
          usage: { ...NO_USAGE, input_tokens: 26, output_tokens: 4_260, image_output_tokens: 4_260 },
          complete: true,
          may_hide_output: true,
        },
      ],
    )
  })

  test('a stream of several images adds up, and is complete when all are there', () => {
    const bytes = vector('openai-images')
    const body = { ...BODY, stream: true, n: 2 }
    expect(meterOnce(operation('images_generations'), body, true, bytes)).toMatchObject({
      complete: false,
      usage: null,
    })
    expect(meterOnce(operation('images_generations'), body, true, bytes, bytes)).toMatchObject({
      complete: true,
      usage: { input_tokens: 52, image_input_tokens: 0, output_tokens: 8_520, image_output_tokens: 8_520 },
    })
  })

  test('megabytes of base64 hide no usage, in JSON or in a stream', () => {
    const b64_json = 'A'.repeat(18 * 2 ** 20)
    expect(json('images_generations', BODY, { data: [{ b64_json }], usage: USAGE }).usage).toMatchObject({
      output_tokens: 100,
    })
    const completed = { type: 'image_generation.completed', b64_json, usage: USAGE }
    const event = `data: ${JSON.stringify(completed)}\n\n`
    expect(meterOnce(operation('images_generations'), BODY, true, event).usage).toMatchObject({ output_tokens: 100 })
  })

  test('usage is read strictly, and an error is none', () => {
    for (const usage of [undefined, {}, { ...USAGE, input_tokens: null }, { ...USAGE, output_tokens: -1 }])
      expect(json('images_generations', BODY, { data: [], usage }).usage).toBeNull()
    const failed = { error: { type: 'image_generation_user_error' } }
    expect(json('images_generations', BODY, failed)).toMatchObject({
      complete: false,
      usage: null,
      error_class: 'upstream_error',
    })
    expect(json('images_generations', { model: 'dall-e-3' }, failed).usage).toBeNull()
  })
})

describe('audio', () => {
  const FORM = { file: FILE, model: 'gpt-4o-transcribe' }

  test('what helps to understand the file is bounded', () => {
    const one = { keywords: 'a', languages: 'en' }
    const more = { 'keywords[]': ['a', 'b'], 'languages[]': ['en', 'de'] }
    for (const extra of [one, more])
      expect(bound('audio_transcriptions', { ...FORM, ...extra })).toMatchObject({ unbounded: null })
  })

  test('a file that is transcribed by tokens fits the context window', () => {
    expect(bound('audio_transcriptions', FORM)).toMatchObject({
      open_input: 'file',
      unbounded: null,
      audio_input: true,
      output: { max_tokens: 16_000, min_tokens: 16_000, choices: 1 },
    })
  })

  test.each([
    ['audio_transcriptions', { ...FORM, model: 'whisper-1' }, 'file'],
    ['audio_translations', { ...FORM, model: 'whisper-1' }, 'file'],
    ['audio_transcriptions', { ...FORM, chunking_strategy: 'auto' }, 'chunking_strategy'],
    ['audio_transcriptions', { ...FORM, model: 'gpt-9-transcribe' }, 'model'],
    ['audio_transcriptions', { ...FORM, a_new_field: 'x' }, 'a_new_field'],
    ['audio_transcriptions', { ...FORM, '': 'x' }, '""'],
    ['audio_speech', { model: 'gpt-4o-mini-tts', input: 'x', voice: 'alloy' }, 'model'],
  ])('%s: %j has no bound', (name, body, field) => {
    expect(bound(name, body).unbounded).toBe(field)
  })

  test.each([
    ['audio_transcriptions', { file: FILE }, 'model'],
    ['audio_transcriptions', { ...FORM, stream: 'yes' }, 'stream'],
    ['audio_speech', { model: 'tts-1' }, 'input'],
  ])('%s: %j is refused', (name, body, field) => {
    expect(refusal(name, body)).toMatchObject({ code: 'invalid_request', field })
  })

  test('transcripts read alike at every chunk boundary', () => {
    expect(readings(operation('audio_transcriptions'), FORM, true, vector('openai-transcript'))).toEqual([
      {
        ...UNREAD,
        usage: { ...NO_USAGE, input_tokens: 41, audio_input_tokens: 41, output_tokens: 12 },
        complete: true,
        seen_output_bytes: 12,
        may_hide_output: true,
      },
    ])
  })

  test.each([
    [{ text: 'x', usage: { type: 'duration', seconds: 61.2 } }, 62],
    [{ text: 'x', duration: 61.2 }, 62],
    [{ text: 'x', usage: { type: 'duration', seconds: 1e9 } }, null],
    [{ text: 'x', usage: { type: 'duration', seconds: '9' } }, null],
    [{ text: 'x' }, null],
  ])('whisper is billed by the second: %j', (answer, units) => {
    const { usage } = json('audio_transcriptions', { ...FORM, model: 'whisper-1' }, answer)
    expect(usage).toEqual(units === null ? null : { ...NO_USAGE, units })
  })

  test.each([
    [{}, 110],
    [{ input_token_details: null }, 110],
    [{ input_token_details: { text_tokens: 20, audio_tokens: 90 } }, 90],
    [{ input_token_details: { text_tokens: 110, audio_tokens: 0 } }, 0],
  ])('what a transcript read was audio, unless it is told apart: %j', (details, audio_input_tokens) => {
    const answer = { text: 'x', usage: { input_tokens: 110, output_tokens: 32, ...details } }
    const expected = { usage: { ...NO_USAGE, input_tokens: 110, audio_input_tokens, output_tokens: 32 } }
    expect(json('audio_transcriptions', FORM, answer)).toMatchObject(expected)
  })

  test.each([
    { text: 'x', usage: { type: 'duration', seconds: 61.2 } },
    { task: 'transcribe', duration: 61.2, text: 'x', segments: [] },
  ])('how long a file was does not tell what a model used that is billed by tokens: %j', (answer) => {
    const form = { ...FORM, model: 'gpt-4o-transcribe-diarize', response_format: 'diarized_json' }
    expect(json('audio_transcriptions', form, answer)).toMatchObject({ usage: null, may_hide_output: true })
  })

  test.each([
    ['gpt-4o-transcribe', 5],
    ['whisper-1', 0],
  ])('a transcript of %s as plain text tells nothing; of one by tokens it shows', (model, seen_output_bytes) => {
    const form = { ...FORM, model }
    const seen = { usage: null, complete: true, may_hide_output: true, seen_output_bytes }
    const meter = operation('audio_transcriptions').meter(askedWith(form))(headOf('other'))
    meter.push(new TextEncoder().encode('Hello'))
    expect(meter.end()).toMatchObject(seen)
    expect(json('audio_transcriptions', form, { text: 'Hello' })).toMatchObject(seen)
  })

  test('tts-1 is billed by the character, even where its audio is cut; not where it is refused', () => {
    const body = { model: 'tts-1-hd', input: 'Grüße', voice: 'alloy' }
    expect(bound('audio_speech', body)).toMatchObject({ units: 5, input_tokens: 0, unbounded: null })
    const speech = operation('audio_speech')
    expect(speech.meter(askedWith(body))(headOf('other')).end().usage).toEqual({ ...NO_USAGE, units: 5 })
    expect(
      speech
        .meter(askedWith(body))({ ...headOf('json'), status: 400 })
        .end().usage,
    ).toBeNull()
  })

  test('speech that is billed by tokens tells them in events alone', () => {
    const body = { model: 'gpt-4o-mini-tts', input: 'x', voice: 'alloy', stream_format: 'sse' }
    expect(readings(operation('audio_speech'), body, true, vector('openai-speech'))).toEqual([
      {
        ...UNREAD,
        usage: { ...NO_USAGE, input_tokens: 14, output_tokens: 101 },
        complete: true,
        seen_output_bytes: 3,
        may_hide_output: true,
      },
    ])
    const meter = operation('audio_speech').meter(askedWith(body))(headOf('other'))
    for (const length of [1_000, 2_200]) meter.push(new Uint8Array(length))
    expect(meter.end()).toMatchObject({ usage: null, seen_output_bytes: 100 })
  })
})

describe('batches', () => {
  const BATCH = { id: 'batch_1', object: 'batch', status: 'validating', model: 'gpt-5', usage: null }
  const USAGE = { input_tokens: 10, input_tokens_details: { cached_tokens: 2 }, output_tokens: 5 }

  test('have no bound, and go on', () => {
    expect(bound('batches_create', { input_file_id: 'file-1' })).toMatchObject({
      unbounded: 'input_file_id',
      service_tier: 'batch',
    })
    expect(json('batches_create', {}, BATCH)).toMatchObject({ complete: true, usage: null, continues_as: 'batch_1' })
    expect(operation('batches_create').continues_for_ms).toBe(48 * 3_600_000)
  })

  test('of an image model are images, as far as the usage does not tell text apart', () => {
    const read = (batch: object) =>
      json('batches_get', {}, { ...BATCH, status: 'completed', ...batch }).concluded[0]?.usage
    const usage = { input_tokens: 3_000_000_000, output_tokens: 2_000_000_000 }
    const all = { image_input_tokens: 3_000_000_000, image_output_tokens: 2_000_000_000 }
    expect(read({ model: 'gpt-image-1.5', usage })).toMatchObject(all)
    const input_tokens_details = { text_tokens: 2_900_000_000, image_tokens: 100_000_000 }
    const output_tokens_details = { text_tokens: 100_000_000, image_tokens: 1_900_000_000 }
    const told = read({ model: 'gpt-image-1.5', usage: { ...usage, input_tokens_details, output_tokens_details } })
    expect(told).toMatchObject({ image_input_tokens: 100_000_000, image_output_tokens: 1_900_000_000 })
    expect(read({ usage })).toMatchObject({ image_input_tokens: 0, image_output_tokens: 0 })
  })

  test('a batch is thousands of answers, which together use more than any model takes', () => {
    const usageOf = (usage: object) =>
      json('batches_get', {}, { ...BATCH, status: 'completed', usage }).concluded[0]?.usage
    const usage = { input_tokens: 4e9, input_tokens_details: { cached_tokens: 3e9 }, output_tokens: 2e9 }
    expect(usageOf(usage)).toMatchObject({ input_tokens: 4e9, cached_input_tokens: 3e9, output_tokens: 2e9 })
    expect(usageOf({ ...usage, output_tokens: 1e14 })).toBeNull()
  })

  test.each(['completed', 'expired', 'cancelled', 'failed'])('that are %s are concluded at batch prices', (status) => {
    for (const name of ['batches_create', 'batches_get', 'batches_cancel']) {
      expect(json(name, {}, { ...BATCH, status, usage: USAGE })).toMatchObject({
        usage: null,
        continues_as: name === 'batches_create' ? 'batch_1' : null,
        concluded: [
          { id: 'batch_1', model: 'gpt-5', service_tier: 'batch', usage: { input_tokens: 10, output_tokens: 5 } },
        ],
      })
    }
    const { concluded } = json('batches_get', {}, { ...BATCH, status })
    // A file that was not valid ran nothing; of all else it is not known what it used.
    expect(concluded[0]?.usage).toEqual(status === 'failed' ? NO_USAGE : null)
  })

  test('that run are not', () => {
    for (const status of ['validating', 'in_progress', 'finalizing', 'cancelling'])
      expect(json('batches_get', {}, { ...BATCH, status }).concluded).toEqual([])
  })
})

test('lists that would show others’ files and batches, and realtime, are refused with their reason', () => {
  for (const name of ['files_list', 'batches_list', 'realtime'])
    expect(refusal(name, {})).toMatchObject({ code: 'not_found', message: expect.stringMatching(/account|realtime/) })
})

describe('long strings', () => {
  const shorten = (text: string, size: number, most?: number) => {
    const strings = shortenStrings(most)
    const bytes = new TextEncoder().encode(text)
    const parts: number[] = []
    for (let at = 0; at < bytes.length; at += size) parts.push(...strings.push(bytes.subarray(at, at + size)))
    return { text: new TextDecoder().decode(new Uint8Array(parts)), shortened: strings.shortened }
  }

  test('shorter ones stay byte for byte, in any chunking', () => {
    const text = JSON.stringify({ a: 'x"\\\n\u00fc', b: ['\\', '"', '\ud83d\udc4b'], c: 1 })
    for (const size of [1, 2, 7, text.length]) expect(shorten(text, size)).toEqual({ text, shortened: false })
  })

  test('what is left of longer ones is JSON, whatever is cut', () => {
    for (const filler of ['A', '\\n', '\\u00fc', '\\\\', '\\"', 'A\\\\\\"']) {
      for (let offset = 0; offset < 8; offset++) {
        const long = `{"x":"${'A'.repeat(offset)}${filler.repeat(300 / filler.length)}","usage":{"n":"1"}}`
        for (const size of [1, 7, 64, long.length]) {
          const { text, shortened } = shorten(long, size, 200)
          expect(shortened).toBe(true)
          expect(text.length).toBeLessThanOrEqual(long.length - (300 - 200))
          expect(JSON.parse(text).usage).toEqual({ n: '1' })
        }
      }
    }
  })
})
