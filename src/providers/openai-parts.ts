// The parts of which OpenAI's messages and input consist, as far as they are not text: images and audio. Pure.

import { isObject } from './answer.ts'
import type { JsonObject } from './dialect.ts'

/**
 * gpt-4o-mini multiplies image tokens: 2,833 and 5,667 for each of up to eight tiles make 48,169. GPT-5.6 and later take
 * images of up to 30,000 patches, a token each. https://developers.openai.com/api/docs/guides/images-vision
 */
const MOST_TOKENS = 50_000
/** These take at most 1,445 (85, and 170 for each tile) or 3,779 (1,536 patches times 2.46). */
const TAKES_FEW =
  /^(gpt-4o|gpt-4\.1(-mini|-nano)?|gpt-5(-mini|-nano)?|o[134](-mini|-pro)?)(-\d{4}-\d{2}-\d{2})?$|^chatgpt-4o-latest$/
const FEW_TOKENS = 5_000

/** The most that an image takes. A deployment on Azure is believed by its name, as it is in its price. */
export const imageTokens = (model: string) => (TAKES_FEW.test(model) ? FEW_TOKENS : MOST_TOKENS)

/**
 * What an image of so many tokens adds to those of its bytes, whose place its own take: it is never read as text. Null for
 * what may be no image, or is named by the id of a file.
 */
export function addedByImage(url: unknown, tokens: number): number | null {
  if (typeof url !== 'string') return null
  if (isLink(url)) return tokens
  return /^data:image\/[\w.+-]+;base64,/i.test(url) ? tokens - url.length : null
}

/** The path of the first URL of an image, behind which OpenAI takes only an image, others also documents and films. */
export function findLinkedImage(body: JsonObject): string | null {
  const path = findPart(body, (part) => isObject(part) && isLink(imageUrl(part)))
  return path && `${path}.image_url`
}

/** The URL of a chat's image or a response's. Mistral takes a chat's alone, too. */
export function imageUrl({ image_url }: JsonObject): unknown {
  return isObject(image_url) ? image_url.url : image_url
}

const isLink = (url: unknown) => typeof url === 'string' && /^https?:/i.test(url)

/** True where audio is in a part of a message or of a tool's output (Responses only), or named by an earlier answer's id. */
export function sendsAudio(body: JsonObject): boolean {
  const namesAudio = (said: unknown) => isObject(said) && Boolean(said.audio)
  const lists = [body.messages, body.input].filter(Array.isArray)
  return (
    lists.flat().some(namesAudio) || findPart(body, (part) => isObject(part) && part.type === 'input_audio') !== null
  )
}

/** The path of the first part that is wanted, in messages and in what tools answered (`output`: of a computer one part). */
export function findPart(body: JsonObject, isWanted: (part: unknown) => boolean): string | null {
  for (const list of ['messages', 'input']) {
    const all = body[list]
    for (const [at, message] of (Array.isArray(all) ? all : []).entries()) {
      for (const name of ['content', 'output']) {
        const held = isObject(message) ? message[name] : null
        const parts = Array.isArray(held) ? held : [held].filter(isObject)
        const index = parts.findIndex(isWanted)
        if (index !== -1) return `${list}[${at}].${name}[${index}]`
      }
    }
  }
  return null
}
