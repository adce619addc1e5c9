// Reads what OpenAI's images used, from JSON or a stream of partial images. Pure; unreadable usage is unknown usage.

import {
  addUsage,
  errorClass,
  isObject,
  isTurnedAway,
  isWhole,
  meterLongAnswer,
  NO_USAGE,
  objectOrEmpty,
  tokenCount,
  UNREAD,
} from './answer.ts'
import type { AnswerHead, Meter, Metered, TokenUsage } from './dialect.ts'
import { textOrNone } from './fields.ts'
import { readEvents } from './openai-events.ts'

interface AskedImages {
  /** True where images are billed one by one, not by tokens. */
  by_image: boolean
  n: number
}

export function meterImages(asked: AskedImages, { format }: AnswerHead): Meter {
  return format === 'sse' ? meterStream(asked) : meterJson(asked)
}

/**
 * Null where a number is missing or is no count.
 * @param svg_usage the usage of the model that writes an SVG: its tokens are charged as if they were images'.
 */
function readImageUsage(usage: unknown, svg_usage: unknown = null): TokenUsage | null {
  if (!isObject(usage)) return null
  if (typeof usage.input_tokens !== 'number' || typeof usage.output_tokens !== 'number') return null
  const details = objectOrEmpty(usage.input_tokens_details)
  const author = objectOrEmpty(svg_usage)
  const [input, output] = [tokenCount(usage.input_tokens), tokenCount(usage.output_tokens)]
  const [author_input, author_output] = [tokenCount(author.input_tokens), tokenCount(author.output_tokens)]
  const read = {
    ...NO_USAGE,
    input_tokens: input + author_input,
    cached_input_tokens: tokenCount(details.cached_tokens),
    image_input_tokens: imagesAmong(input, details) + author_input,
    output_tokens: output + author_output,
    image_output_tokens: imagesAmong(output, usage.output_tokens_details) + author_output,
  }
  return isWhole(read) && read.cached_input_tokens <= read.input_tokens ? read : null
}

/**
 * How many of these tokens are images': all, which costs the most, unless the usage tells the kinds apart and they add up.
 * @param answers the most answers that they may be the sum of
 */
export function imagesAmong(tokens: number, details: unknown, answers = 1): number {
  const { image_tokens, text_tokens } = objectOrEmpty(details)
  const images = tokenCount(image_tokens, answers)
  return images + tokenCount(text_tokens, answers) === tokens ? images : tokens
}

/** The tokens of an image do not show as text. */
const BLANK: Metered = { ...UNREAD, may_hide_output: true }

function meterJson({ by_image }: AskedImages): Meter {
  return meterLongAnswer((answer) => {
    const error_class = answer.error ? errorClass(answer.error) : null
    const images = Array.isArray(answer.data) ? answer.data.length : null
    const usage =
      by_image && images !== null ? { ...NO_USAGE, units: images } : readImageUsage(answer.usage, answer.svg_usage)
    return { ...BLANK, usage, complete: images !== null && error_class === null, error_class }
  })
}

/** Each image ends with an event that has its usage. Their sum is the call's. */
function meterStream({ by_image, n }: AskedImages): Meter {
  let completed = 0
  let usage: TokenUsage | null = NO_USAGE
  let error_class: string | null = null
  let begun = false
  const isOver = () => completed >= n
  const events = readEvents((event) => {
    if (event.error || event.type === 'error') error_class ??= errorClass(event.error ?? event)
    else begun = true
    if (!/^image_\w+\.completed$/.test(textOrNone(event.type))) return
    completed += 1
    usage = addUsage(usage, by_image ? { ...NO_USAGE, units: 1 } : readImageUsage(event.usage))
  }, isOver)
  return {
    push: events.push,
    get ending() {
      return isOver() ? 'over' : 'not_yet'
    },
    end() {
      const whole = events.end()
      const complete = whole && isOver() && error_class === null
      const is_turned_away = whole && !begun && isTurnedAway(error_class)
      return { ...BLANK, usage: complete ? usage : null, complete, error_class, is_turned_away }
    },
  }
}
