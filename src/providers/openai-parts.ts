// The parts of which OpenAI's messages and input consist, as far as they are not text: images and audio. Pure.

import { isObject } from './answer.ts'
import type { JsonObject } from './dialect.ts'

/**
 * gpt-4o-mini multiplies image tokens: 2,833 and 5,667 for each of up to eight tiles make 48,169. GPT-5.6 and later take
 * images of up to 30,000 patches, a token each. https://developers.openai.com/api/docs/guides/images-vision
 */
const IMAGE_TOKENS = 50_000

/**
 * What an image adds to the tokens of its bytes, whose place its own take: it is never read as text. Null for what may be
 * no image, or is named by the id of a file.
 */
export function imageTokens(url: unknown): number | null {
  if (typeof url !== 'string') return null
  if (isLink(url)) return IMAGE_TOKENS
  return /^data:image\/[\w.+-]+;base64,/i.test(url) ? IMAGE_TOKENS - url.length : null
}

/** The path of the first image by URL, behind which OpenAI takes only an image, others also documents and films. */
export function findLinkedImage(body: JsonObject): string | null {
  return findPart(body, (part) => isObject(part) && isLink(imageUrl(part)))
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

/** The path of the first part that is wanted, in messages and in what tools answered (`output`). */
export function findPart(body: JsonObject, isWanted: (part: unknown) => boolean): string | null {
  for (const list of ['messages', 'input']) {
    const all = body[list]
    for (const [at, message] of (Array.isArray(all) ? all : []).entries()) {
      for (const name of ['content', 'output']) {
        const parts = isObject(message) && Array.isArray(message[name]) ? message[name] : []
        const index = parts.findIndex(isWanted)
        if (index !== -1) return `${list}[${at}].${name}[${index}]`
      }
    }
  }
  return null
}
