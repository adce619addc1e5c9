// OpenAI's images: GPT image models are billed by tokens, DALL-E by the image (`units`). Nothing in a request limits the
// tokens of an image but its quality, so the bound is what each family is known to take at most. Pure.

import { type GatewayError, isRefusal } from '../errors.ts'
import { PLAIN_BOUND } from './answer.ts'
import type { Asked, Bound, JsonObject, OpenMeter, Operation } from './dialect.ts'
import { invalidField, readBoolean, readModel, readPositiveInteger, unknownField } from './fields.ts'
import { countFiles, readFormBoolean, readFormCount, readText, tokensOfForm, unknownFormField } from './openai-form.ts'
import { meterImages } from './openai-images-meter.ts'
import { tokensOfText } from './text-bound.ts'

const MAX_IMAGES = 10
/** A stream may show each image this often before it is done; each partial image is billed as `PARTIAL_IMAGE_TOKENS`. */
const MAX_PARTIAL_IMAGES = 3
const PARTIAL_IMAGE_TOKENS = 100

interface Family {
  models: RegExp
  /** Most tokens of one image, by quality; `high` where none or `auto` is asked for. */
  output: { low: number; medium: number; high: number }
  /** Most tokens of one image that is sent along, at high fidelity. */
  input: number
}

/**
 * gpt-image-1: 408, 1,584 and 6,240 tokens at the largest size, and up to 6,240 for high fidelity on top of 1,100. The
 * list prices of an image ($0.006, $0.015 and $0.052) make 750, 1,875 and 6,500 tokens of gpt-image-1-mini.
 * https://developers.openai.com/api/docs/guides/image-generation#calculating-costs
 *
 * gpt-image-1.5 also writes text (a few hundred tokens). gpt-image-2 takes sizes up to 8.3 megapixels: 659, 5,929 and
 * 23,711 tokens by OpenAI's own calculator; its images are always read at high fidelity.
 */
const FAMILIES: Family[] = [
  { models: /^gpt-image-1$/, output: { low: 500, medium: 2_000, high: 7_000 }, input: 10_000 },
  { models: /^gpt-image-1-mini$/, output: { low: 1_000, medium: 2_500, high: 7_500 }, input: 10_000 },
  {
    models: /^gpt-image-1\.5(-\d{4}-\d{2}-\d{2})?$/,
    output: { low: 5_000, medium: 6_500, high: 11_500 },
    input: 10_000,
  },
  {
    models: /^gpt-image-2(-\d{4}-\d{2}-\d{2})?$/,
    output: { low: 5_000, medium: 11_000, high: 30_000 },
    input: 50_000,
  },
]

const GENERATION_FIELDS = new Set(
  `background model moderation n output_compression output_format partial_images prompt quality response_format
  safety_identifier size stream style user`.split(/\s+/),
)
const EDIT_FIELDS = new Set(
  `background image image[] input_fidelity markup mask model n output_compression output_format partial_images prompt
  quality response_format safety_identifier size stream user`.split(/\s+/),
)
const VARIATION_FIELDS = new Set(['image', 'model', 'n', 'response_format', 'size', 'user'])
/** At any other quality (`xhigh`, `max`) it is not known how many tokens an image takes. */
const QUALITIES: ReadonlySet<unknown> = new Set(['', 'auto', 'low', 'medium', 'high', 'standard', 'hd'])
/** Others are not metered: a GIF is up to sixteen images, an SVG is written by another model. */
const OUTPUT_FORMATS: ReadonlySet<unknown> = new Set(['', 'png', 'jpeg', 'webp'])

export const imageOperations: Operation[] = [
  {
    name: 'images_generations',
    method: 'POST',
    path: '/v1/images/generations',
    readBound: ({ body, bytes }) => readGenerationBound(body, bytes),
    meter,
  },
  {
    name: 'images_edits',
    method: 'POST',
    path: '/v1/images/edits',
    takes: 'form',
    readBound: ({ body }) => readFormBound(body, EDIT_FIELDS),
    meter,
  },
  {
    name: 'images_variations',
    method: 'POST',
    path: '/v1/images/variations',
    takes: 'form',
    readBound: ({ body }) => readFormBound(body, VARIATION_FIELDS),
    meter,
  },
]

/** Only for a body or form that `readBound` has accepted. */
function meter({ body: { model, n } }: Asked): OpenMeter {
  const asked = { by_image: isByImage(String(model)), n: Number(n || 1) }
  return (head) => meterImages(asked, head)
}

const isByImage = (model: string) => /^dall-e-/.test(model)

function readGenerationBound(body: JsonObject, bytes: number): Bound | GatewayError {
  const model = readModel(body)
  if (isRefusal(model)) return model
  const stream = readBoolean(body, 'stream')
  if (isRefusal(stream)) return stream
  const n = readPositiveInteger(body, 'n')
  if (isRefusal(n)) return n
  const quality = body.quality ?? null
  if (quality !== null && typeof quality !== 'string') return invalidField('quality', 'a string')
  return boundOf({
    model,
    stream,
    n: n ?? 1,
    quality,
    text_tokens: tokensOfText(body, bytes),
    images: 0,
    unknown: unknownField(body, GENERATION_FIELDS) ?? unknownKind(body),
  })
}

function readFormBound(form: JsonObject, known: ReadonlySet<string>): Bound | GatewayError {
  const model = readModel(form)
  if (isRefusal(model)) return model
  const stream = readFormBoolean(form, 'stream')
  if (isRefusal(stream)) return stream
  const n = readFormCount(form, 'n')
  if (isRefusal(n)) return n
  const quality = readText(form, 'quality')
  if (isRefusal(quality)) return quality
  return boundOf({
    model,
    stream,
    n: n ?? 1,
    quality,
    text_tokens: tokensOfForm(form),
    images: countFiles(form),
    unknown: unknownFormField(form, known) ?? unknownKind(form),
  })
}

function unknownKind({ quality, output_format }: JsonObject): string | null {
  if (!QUALITIES.has(quality ?? '')) return 'quality'
  return OUTPUT_FORMATS.has(output_format ?? '') ? null : 'output_format'
}

interface Wanted {
  model: string
  stream: boolean
  n: number
  quality: string | null
  text_tokens: number
  images: number
  unknown: string | null
}

function boundOf({ model, stream, n, quality, text_tokens, images, unknown }: Wanted): Bound | GatewayError {
  if (n > MAX_IMAGES) return invalidField('n', `at most ${MAX_IMAGES}`)
  if (isByImage(model)) {
    return { ...PLAIN_BOUND, model, stream, input_tokens: 0, unbounded: unknown, output: null, units: n }
  }
  const family = FAMILIES.find(({ models }) => models.test(model))
  const most = family?.output[quality === 'low' || quality === 'medium' ? quality : 'high'] ?? 0
  const tokens = most + MAX_PARTIAL_IMAGES * PARTIAL_IMAGE_TOKENS
  return {
    ...PLAIN_BOUND,
    model,
    stream,
    input_tokens: text_tokens + images * (family?.input ?? 0),
    // Every image of a stream may come with a usage of its own.
    rounds: n,
    unbounded: unknown ?? (family ? null : 'model'),
    // No field limits the tokens: there is nothing to clamp.
    output: { max_tokens: tokens, min_tokens: tokens, choices: n },
  }
}
