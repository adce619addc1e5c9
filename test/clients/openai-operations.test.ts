// OpenAI's other operations as the official client sees them: legacy completions, embeddings, images, audio, files,
// batches, moderations; and what is refused.

import { BadRequestError, NotFoundError, toFile } from 'openai'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { json } from '../../src/local/fake-script.ts'
import { checkBooks } from '../support/books.ts'
import {
  bodyOf,
  capOf,
  collect,
  failure,
  GENEROUS,
  lastRequest,
  NOTHING_USED,
  onlyEvent,
  openaiOf,
  post,
} from '../support/client-calls.ts'
import { type Gateway, startGateway } from '../support/gateway.ts'

let gateway: Gateway
const users: string[] = []

beforeAll(async () => {
  gateway = await startGateway()
})
afterEach(() => {
  gateway.provider.reply = undefined
  gateway.provider.requests.length = 0
})
afterAll(async () => {
  await checkBooks(gateway, users)
  await gateway?.close()
})

const REQUESTS = [{ cap_type: 'total', limits: { requests: 1e6 } }]
const TOKENS = [{ cap_type: 'total', limits: { tokens: 1e9 } }]

async function caller(caps: typeof GENEROUS | typeof REQUESTS | typeof TOKENS = GENEROUS) {
  const { id, key } = await gateway.admin.user(caps)
  users.push(id)
  return { id, key, ...openaiOf(gateway, key) }
}
const bodyBytes = () => lastRequest(gateway).body.length
const postForm = (key: string, content_type: string, body: string, path = 'audio/transcriptions') =>
  fetch(`${gateway.url}/openai/v1/${path}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': content_type },
    body,
  })
const PNG = () => toFile(Buffer.from('a png'), 'a.png', { type: 'image/png' })
const MP3 = () => toFile(Buffer.alloc(5_000), 'a.mp3', { type: 'audio/mpeg' })

describe('legacy completions', () => {
  test('are charged every choice of every prompt', async () => {
    const { id, client } = await caller()
    const answer = await client.completions.create({
      model: 'gpt-3.5-turbo-instruct',
      prompt: ['a', 'b'],
      n: 2,
      best_of: 3,
      max_tokens: 10,
    })
    expect(answer.choices).toHaveLength(4)
    expect(await onlyEvent(gateway, id)).toMatchObject({
      operation: 'completions',
      usage_source: 'reported',
      input_tokens: bodyBytes(),
      output_tokens: 60,
      cost_nano_usd: bodyBytes() * 1_500 + 60 * 2_000,
      overrun: false,
    })
  })

  test('stream without the usage that only Tollgate asked for', async () => {
    const { id, client } = await caller()
    const stream = await client.completions.create({
      model: 'gpt-3.5-turbo-instruct',
      prompt: 'a',
      max_tokens: 10,
      stream: true,
    })
    const chunks = await collect(stream)
    expect(chunks.every(({ choices }) => choices.length > 0)).toBe(true)
    expect(await onlyEvent(gateway, id)).toMatchObject({ usage_source: 'reported', output_tokens: 10, overrun: false })
  })
})

test('embeddings are charged their input', async () => {
  const { id, client } = await caller()
  const { data } = await client.embeddings.create({ model: 'text-embedding-3-small', input: ['a', 'b', 'c'] })
  expect(data).toHaveLength(3)
  expect(await onlyEvent(gateway, id)).toMatchObject({
    operation: 'embeddings',
    usage_source: 'reported',
    input_tokens: bodyBytes(),
    output_tokens: 0,
    cost_nano_usd: bodyBytes() * 20,
  })
})

test('moderations are free', async () => {
  const { id, client } = await caller()
  await client.moderations.create({ model: 'omni-moderation-latest', input: 'hello' })
  expect(await onlyEvent(gateway, id)).toMatchObject({
    operation: 'moderations',
    cost_nano_usd: 0,
    input_tokens: 0,
    requests: 1,
  })
})

test('where a call is free, a model that is null is none', async () => {
  const { id, client } = await caller()
  gateway.provider.reply = () => json({ object: 'response.input_tokens', input_tokens: 3 })
  const { input_tokens } = await client.responses.inputTokens.count({ model: null, previous_response_id: 'resp_1' })
  expect(input_tokens).toBe(3)
  expect(await onlyEvent(gateway, id)).toMatchObject({ operation: 'responses_input_tokens', request_model: null })
})

describe('images', () => {
  test('that are generated are charged their tokens', async () => {
    const { id, client } = await caller(TOKENS)
    const answer = await client.images.generate({ model: 'gpt-image-1', prompt: 'a cat', quality: 'low', n: 2 })
    expect(answer.data).toHaveLength(2)
    expect(await onlyEvent(gateway, id)).toMatchObject({
      operation: 'images_generations',
      usage_source: 'reported',
      input_tokens: 5,
      output_tokens: 2 * 408,
      overrun: false,
    })
  })

  test('stream with partial images', async () => {
    const { id, client } = await caller(TOKENS)
    const body = { model: 'gpt-image-1', prompt: 'a cat', stream: true as const, partial_images: 2 }
    const events = await collect(await client.images.generate(body))
    expect(events.at(-1)?.type).toBe('image_generation.completed')
    expect(await onlyEvent(gateway, id)).toMatchObject({ usage_source: 'reported', output_tokens: 6_240 + 200 })
  })

  test('that are edited come as a form, whose bytes reach the provider unchanged', async () => {
    const { id, client } = await caller(TOKENS)
    const answer = await client.images.edit({
      model: 'gpt-image-1',
      prompt: 'x',
      image: [await PNG(), await PNG()],
      quality: 'medium',
    })
    expect(answer.data).toHaveLength(1)
    expect(lastRequest(gateway).body.toString()).toContain('a png')
    expect(await onlyEvent(gateway, id)).toMatchObject({
      operation: 'images_edits',
      input_tokens: 14_681,
      image_input_tokens: 14_680,
      output_tokens: 1_584,
      image_output_tokens: 1_584,
      cost_nano_usd: 1 * 5_000 + 14_680 * 10_000 + 1_584 * 40_000,
      overrun: false,
    })
  })

  test.each([
    ['as .NET writes it', "name=image; filename=a.png; filename*=utf-8''a.png"],
    ['behind its size', 'name="image"; size=5; filename="a.png"'],
  ])('are held as images where the name of a file is %s', async (_, file) => {
    const { id, key } = await caller(TOKENS)
    const text = (name: string, value: string) =>
      `--b\r\nContent-Disposition: form-data; name=${name}\r\n\r\n${value}\r\n`
    const image = `--b\r\nContent-Type: image/png\r\nContent-Disposition: form-data; ${file}\r\n\r\na png\r\n`
    const form = `${text('"model"', 'gpt-image-1')}${text('"prompt"', 'x')}${image}--b--\r\n`
    const answer = await postForm(key, 'multipart/form-data; boundary="b"', form, 'images/edits')
    expect(answer.status).toBe(200)
    expect(lastRequest(gateway).body.toString()).toBe(form)
    expect(await onlyEvent(gateway, id)).toMatchObject({ usage_source: 'reported', overrun: false })
  })

  test('of DALL-E are counted by the piece', async () => {
    const { id, client } = await caller(REQUESTS)
    const answer = await client.images.createVariation({ model: 'dall-e-2', image: await PNG(), n: 2 })
    expect(answer.data).toHaveLength(2)
    expect(await onlyEvent(gateway, id)).toMatchObject({
      operation: 'images_variations',
      usage_source: 'reported',
      input_tokens: 0,
    })
  })

  test('of a model that nobody knows are refused under a token cap', async () => {
    const { client } = await caller(TOKENS)
    const error = await failure(client.images.generate({ model: 'gpt-image-9', prompt: 'x' }))
    expect(error).toBeInstanceOf(BadRequestError)
    expect(error).toMatchObject({ param: 'model' })
  })
})

describe('audio', () => {
  test('transcripts are charged their tokens, those of audio apart', async () => {
    const { id, client } = await caller()
    const { text } = await client.audio.transcriptions.create({ model: 'gpt-4o-mini-transcribe', file: await MP3() })
    expect(text).toContain('Hello')
    expect(await onlyEvent(gateway, id)).toMatchObject({
      operation: 'audio_transcriptions',
      usage_source: 'reported',
      input_tokens: 16_000,
      audio_input_tokens: 16_000,
      overrun: false,
      cost_nano_usd: 16_000 * 3_000 + 16_000 * 5_000,
    })
  })

  // Recorded: Faraday 1.1 with multipart-post 2.0, and HTTPClient 2.8 of Ruby; both end with an empty line.
  test.each([
    [
      'Faraday',
      '-----------RubyMultipartPost-d0dcace9c4188c19b0f699c83f3ab62e',
      'name="file"; filename="a.mp3"\r\nContent-Length: 5000\r\nContent-Type: audio/mpeg\r\nContent-Transfer-Encoding: binary',
    ],
    [
      'HTTPClient',
      'e1fca1db1fb236d538eeac9c8f2657344ab34219',
      'name="file"; filename="a.mp3"; modification-date="Mon, 30 Nov 2026 11:57:04 +0000"; read-date="Mon, 30 Nov 2026 11:57:04 +0000"\r\nContent-Type: application/octet-stream',
    ],
  ])("the form of Ruby's %s is taken, and goes on as it came", async (_, boundary, file) => {
    const { id, key } = await caller()
    const form = [
      `--${boundary}\r\nContent-Disposition: form-data; name="model"\r\n\r\ngpt-4o-mini-transcribe\r\n`,
      `--${boundary}\r\nContent-Disposition: form-data; ${file}\r\n\r\n${'\0'.repeat(5_000)}\r\n`,
      `--${boundary}--\r\n\r\n`,
    ].join('')
    const answer = await postForm(key, `multipart/form-data; boundary=${boundary}`, form)
    expect(answer.status).toBe(200)
    expect(lastRequest(gateway).body.toString()).toBe(form)
    expect(await onlyEvent(gateway, id)).toMatchObject({ usage_source: 'reported', input_tokens: 16_000 })
  })

  // Recorded: Apache's HttpClient 5.1, on which clients in Java are built.
  test('a form that says ISO-8859-1 is taken, and goes on as it came; JSON that says so is not', async () => {
    const { id, key } = await caller()
    const boundary = 'cSl0Mw7-Gv9dwPNFOd0zQ8YS1L7qwB8qeoHQRw'
    const form = [
      `--${boundary}\r\nContent-Disposition: form-data; name="model"\r\nContent-Type: text/plain; charset=ISO-8859-1\r\n\r\n`,
      `gpt-4o-mini-transcribe\r\n`,
      `--${boundary}\r\nContent-Disposition: form-data; name="file"; filename="a.mp3"\r\nContent-Type: audio/mpeg\r\n\r\n`,
      `${'\0'.repeat(5_000)}\r\n--${boundary}--\r\n`,
    ].join('')
    const type = `multipart/form-data; charset=ISO-8859-1; boundary=${boundary}`
    const answer = await postForm(key, type, form)
    expect(answer.status).toBe(200)
    expect(lastRequest(gateway).body.toString()).toBe(form)
    expect(new Headers(lastRequest(gateway).headers).get('content-type')).toBe(type)
    expect(await onlyEvent(gateway, id)).toMatchObject({ usage_source: 'reported', input_tokens: 16_000 })
    const headers = { 'content-type': 'application/json; charset=ISO-8859-1' }
    expect((await post(gateway, 'openai', key, bodyOf('openai'), { headers })).status).toBe(415)
  })

  test('transcripts stream', async () => {
    const { id, client } = await caller()
    const stream = await client.audio.transcriptions.create({
      model: 'gpt-4o-transcribe',
      file: await MP3(),
      stream: true,
    })
    expect((await collect(stream)).at(-1)?.type).toBe('transcript.text.done')
    expect(await onlyEvent(gateway, id)).toMatchObject({ stream: true, usage_source: 'reported' })
  })

  test('a transcript by tokens that tells only how long its file was is charged its hold', async () => {
    const { id, client } = await caller()
    gateway.provider.reply = () => json({ text: 'Hello', usage: { type: 'duration', seconds: 7 } })
    const model = 'gpt-4o-transcribe-diarize'
    await client.audio.transcriptions.create({ model, file: await MP3(), response_format: 'diarized_json' })
    expect(await onlyEvent(gateway, id)).toMatchObject({
      usage_source: 'hold',
      input_tokens: 16_800,
      output_tokens: 16_000,
      cost_nano_usd: 16_800 * 6_000 + 16_000 * 10_000,
    })
  })

  test.each(['text', 'json'] as const)(
    'a transcript by tokens without a bound or usage, as %s, is charged what went past',
    async (response_format) => {
      const { id, client } = await caller(REQUESTS)
      if (response_format === 'json') gateway.provider.reply = () => json({ text: 'Hello from the fake provider.\n' })
      const model = 'gpt-4o-transcribe-diarize'
      await client.audio.transcriptions.create({ model, file: await MP3(), response_format, chunking_strategy: 'auto' })
      const { input_tokens, ...event } = await onlyEvent(gateway, id)
      const output_tokens = 'Hello from the fake provider.\n'.length
      const cost_nano_usd = Number(input_tokens) * 6_000 + output_tokens * 10_000
      expect(event).toMatchObject({ usage_source: 'estimated', output_tokens, cost_nano_usd })
    },
  )

  test('whisper is refused where cost or tokens are capped, for nothing bounds its seconds', async () => {
    const { client } = await caller()
    const body = { model: 'whisper-1', file: await MP3() }
    expect(await failure(client.audio.transcriptions.create(body))).toMatchObject({ status: 400, param: 'file' })
    const { id, client: uncapped } = await caller(REQUESTS)
    await uncapped.audio.transcriptions.create(body)
    expect(await onlyEvent(gateway, id)).toMatchObject({ usage_source: 'reported', input_tokens: 0, output_tokens: 0 })
    const { id: other, client: translator } = await caller(REQUESTS)
    expect(await translator.audio.translations.create({ ...body, response_format: 'text' })).toContain('Hello')
    expect(await onlyEvent(gateway, other)).toMatchObject({
      operation: 'audio_translations',
      usage_source: 'estimated',
    })
  })

  test('speech of tts-1 is audio, byte for byte', async () => {
    const { id, client } = await caller(TOKENS)
    const answer = await client.audio.speech.create({ model: 'tts-1', input: 'Hello', voice: 'alloy' })
    expect((await answer.arrayBuffer()).byteLength).toBe(4_096)
    expect(await onlyEvent(gateway, id)).toMatchObject({
      operation: 'audio_speech',
      usage_source: 'reported',
      input_tokens: 0,
    })
  })

  test('speech by tokens reports them in events', async () => {
    const { id, key } = await caller(REQUESTS)
    const body = { model: 'gpt-4o-mini-tts', input: 'Hello', voice: 'alloy', stream_format: 'sse' }
    const answer = await post(gateway, 'openai', key, body, { path: '/openai/v1/audio/speech' })
    expect(await answer.text()).toContain('speech.audio.done')
    expect(await onlyEvent(gateway, id)).toMatchObject({ usage_source: 'reported', output_tokens: 42 })
  })
})

describe('files and batches', () => {
  test('a file is uploaded, read and deleted, each at the cost of a request', async () => {
    const { id, client } = await caller()
    const file = await client.files.create({
      file: await toFile(Buffer.from('{}\n'), 'Übung 1.jsonl'),
      purpose: 'batch',
    })
    expect(await client.files.retrieve(file.id)).toMatchObject({ bytes: 3, filename: 'Übung 1.jsonl' })
    expect(await (await client.files.content(file.id)).text()).toBe('{}\n')
    expect((await client.files.delete(file.id)).deleted).toBe(true)
    await checkBooks(gateway, [id])
    expect((await capOf(gateway, id)).current_usage).toEqual({ ...NOTHING_USED, requests: 4 })
  })

  const BATCH = {
    input_file_id: 'file-1',
    endpoint: '/v1/chat/completions' as const,
    completion_window: '24h' as const,
  }

  test('cancelling a batch sends no body', async () => {
    const { client } = await caller(REQUESTS)
    const { id } = await client.batches.create(BATCH)
    expect((await client.batches.cancel(id)).status).toBe('cancelling')
    expect(lastRequest(gateway).body).toHaveLength(0)
  })

  // As the official Python clients do.
  test.each([
    '/openai/v1/batches/batch_1/cancel',
    '/openai/v1/responses/resp_1/cancel',
    '/anthropic/v1/messages/batches/b_1/cancel',
  ])('a POST to %s without a body may say that it is JSON', async (path) => {
    const { key } = await caller(REQUESTS)
    const headers = {
      authorization: `Bearer ${key}`,
      'content-type': 'application/json',
      'anthropic-version': '2023-06-01',
    }
    gateway.provider.reply = () => json({ id: 'x' })
    expect((await fetch(gateway.url + path, { method: 'POST', headers })).status).toBe(200)
    expect(lastRequest(gateway).body).toHaveLength(0)
  })
})

test('lists of what others have, and realtime, are NotFoundErrors that say why', async () => {
  const { client, key } = await caller()
  for (const list of [() => client.files.list(), () => client.batches.list()]) {
    const error = await failure(list())
    expect(error).toBeInstanceOf(NotFoundError)
    expect(String(error)).toContain('other callers')
  }
  const realtime = await fetch(`${gateway.url}/openai/v1/realtime?model=gpt-realtime`, {
    headers: { authorization: `Bearer ${key}` },
  })
  expect(realtime.status).toBe(404)
  expect(await realtime.text()).toContain('realtime sessions')
  expect(gateway.provider.requests).toHaveLength(0)
})
