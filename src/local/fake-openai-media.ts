// OpenAI's images and audio, with the highest usage known: for an image the most tokens of its quality, for audio a whole
// context window. https://platform.openai.com/docs/api-reference/images

import { filesOf, missing, parseForm, refusal, tooMany, unparsed } from './fake-openai-wire.ts'
import { events, json, type Script } from './fake-script.ts'
import { type Body, parseBody } from './fake-text.ts'

/** A PNG of one pixel. */
const PIXEL = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=='

const OUTPUT_TOKENS: [models: RegExp, Record<string, number>][] = [
  [/^gpt-image-1(-mini)?$/, { low: 408, medium: 1_584, high: 6_240 }],
  [/^gpt-image-1\.5/, { low: 708, medium: 1_884, high: 6_540 }],
  [/^gpt-image-2/, { low: 659, medium: 5_929, high: 23_711 }],
]
/** For an image that is sent along, at high fidelity and the largest size. */
const INPUT_TOKENS = 7_340
const PARTIAL_TOKENS = 100
const MOST_PARTIAL_IMAGES = 3
const MOST_IMAGES = 10

export function makeImages(path: string, bytes: Buffer, content_type: string): Script {
  const isForm = path !== '/v1/images/generations'
  const form = isForm ? parseForm(bytes, content_type) : null
  const body: Body | null = isForm ? form && Object.fromEntries(form) : parseBody(bytes)
  if (!body) return isForm ? refusal(400, 'Expected a multipart form.') : unparsed()
  if (!path.endsWith('/variations') && typeof body.prompt !== 'string') return missing('prompt')
  const model = typeof body.model === 'string' ? body.model : 'dall-e-2'
  const n = Number(body.n ?? 1)
  const refused = tooMany(isForm ? n : body.n, MOST_IMAGES)
  if (refused) return refused
  if (model.startsWith('dall-e-'))
    return json({ created: 1, data: Array.from({ length: n }, () => ({ b64_json: PIXEL })) })

  const wanted = String(body.quality ?? 'high')
  const most = OUTPUT_TOKENS.find(([models]) => models.test(model))?.[1] ?? {}
  const partials = Number(body.partial_images ?? 0)
  if (!(partials >= 0 && partials <= MOST_PARTIAL_IMAGES)) {
    return refusal(400, `partial_images must be at most ${MOST_PARTIAL_IMAGES}.`)
  }
  const output = (most[wanted] ?? most.high ?? 0) + partials * PARTIAL_TOKENS
  const text_tokens = Buffer.byteLength(String(body.prompt ?? ''))
  const image_tokens = form ? filesOf(form).length * INPUT_TOKENS : 0
  const usage = (images: number) => ({
    input_tokens: text_tokens + image_tokens,
    input_tokens_details: { text_tokens, image_tokens },
    output_tokens: output * images,
    total_tokens: text_tokens + image_tokens + output * images,
  })
  const about = {
    background: 'opaque',
    output_format: 'png',
    quality: most[wanted] ? wanted : 'high',
    size: '1024x1024',
  }
  if (body.stream !== true && body.stream !== 'true')
    return json({ created: 1, ...about, data: Array.from({ length: n }, () => ({ b64_json: PIXEL })), usage: usage(n) })
  const kind = path === '/v1/images/edits' ? 'image_edit' : 'image_generation'
  const event = (type: string, fields: Body) =>
    `event: ${type}\ndata: ${JSON.stringify({ type, created_at: 1, ...about, b64_json: PIXEL, ...fields })}\n\n`
  return events(
    Array.from({ length: n }, () => [
      ...Array.from({ length: partials }, (_, partial_image_index) =>
        event(`${kind}.partial_image`, { partial_image_index }),
      ),
      event(`${kind}.completed`, { usage: usage(1) }),
    ]).flat(),
  )
}

const TRANSCRIPT = ['Hello', ' from', ' the', ' fake', ' provider', '.']
const AUDIO_WINDOW_TOKENS = 16_000
const SECONDS = 61.2

export function transcribe(path: string, bytes: Buffer, content_type: string): Script {
  const form = parseForm(bytes, content_type)
  if (!form) return refusal(400, 'Expected a multipart form.')
  const file = form.get('file')
  if (file === undefined || typeof file === 'string') return missing('file')
  const model = String(form.get('model') ?? '')
  const format = form.get('response_format') ?? 'json'
  const text = TRANSCRIPT.join('')
  if (format === 'text' || format === 'srt' || format === 'vtt')
    return { headers: { 'content-type': 'text/plain; charset=utf-8' }, steps: [`${text}\n`] }
  if (model.startsWith('whisper')) {
    const usage = { type: 'duration', seconds: Math.ceil(SECONDS) }
    const verbose = { task: 'transcribe', language: 'english', duration: SECONDS, text, segments: [] }
    if (path.endsWith('/translations')) return json(format === 'verbose_json' ? verbose : { text })
    return json(format === 'verbose_json' ? { ...verbose, usage } : { text, usage })
  }
  const usage = {
    type: 'tokens',
    input_tokens: AUDIO_WINDOW_TOKENS,
    input_token_details: { text_tokens: 0, audio_tokens: AUDIO_WINDOW_TOKENS },
    output_tokens: AUDIO_WINDOW_TOKENS,
    total_tokens: 2 * AUDIO_WINDOW_TOKENS,
  }
  if (form.get('stream') !== 'true') return json({ text, usage })
  const event = (value: Body) => `data: ${JSON.stringify(value)}\n\n`
  return events([
    ...TRANSCRIPT.map((delta) => event({ type: 'transcript.text.delta', delta })),
    event({ type: 'transcript.text.done', text, usage }),
    'data: [DONE]\n\n',
  ])
}

export function speak(bytes: Buffer): Script {
  const body = parseBody(bytes)
  if (!body) return unparsed()
  if (typeof body.input !== 'string') return missing('input')
  const audio = Buffer.alloc(4_096, 0x55)
  if (body.stream_format !== 'sse')
    return { headers: { 'content-type': 'audio/mpeg' }, steps: [audio.subarray(0, 1_024), audio.subarray(1_024)] }
  const usage = { input_tokens: bytes.length, output_tokens: 42, total_tokens: bytes.length + 42 }
  return events([
    `data: ${JSON.stringify({ type: 'speech.audio.delta', audio: audio.toString('base64') })}\n\n`,
    `data: ${JSON.stringify({ type: 'speech.audio.done', usage })}\n\n`,
  ])
}
