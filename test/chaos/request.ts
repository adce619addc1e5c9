// The calls that clients make: JSON and streams, OpenAI and Anthropic in turn, each of its own size and under a marker of
// its own, which the provider sees in the body and which becomes the `job_id` of the call's event. Pure.

/** In turn, by a call's number. */
const KINDS = [
  { isOpenai: true, isStream: true, asksForUsage: false },
  { isOpenai: true, isStream: false, asksForUsage: false },
  { isOpenai: false, isStream: true, asksForUsage: false },
  { isOpenai: false, isStream: false, asksForUsage: false },
  { isOpenai: true, isStream: true, asksForUsage: true },
] as const

export type Kind = (typeof KINDS)[number]

export const kindOf = (number: number): Kind => KINDS[number % KINDS.length] ?? KINDS[0]

export const nameOf = ({ isOpenai, isStream }: Kind): string =>
  `${isOpenai ? 'openai' : 'anthropic'} ${isStream ? 'stream' : 'JSON'}`

/** Numbers of calls that are JSON and a stream. */
export const JSON_KIND = 1
export const STREAM_KIND = 0

const MARKER = /\bcall-\d+\b/

/** The marker in a body that the provider was sent. */
export const markerIn = (body: string): string | null => MARKER.exec(body)?.[0] ?? null
export const markerOf = (number: number): string => `call-${number}`

/** Bodies of so many lengths, and so many bounds of their output. */
const LENGTHS = 37
const OUTPUTS = 9
const LEAST_OUTPUT = 4

/** The user's id is in the body too. */
export function bodyOf(kind: Kind, marker: string, userId: string): { path: string; body: string } {
  const number = Number(marker.replace(/\D/g, ''))
  const output = LEAST_OUTPUT + (number % OUTPUTS)
  const messages = [{ role: 'user', content: `${marker} ${'.'.repeat((number % LENGTHS) * 4)}` }]
  const stream = kind.isStream
  const body = kind.isOpenai
    ? {
        model: 'gpt-4o-mini',
        max_completion_tokens: output,
        messages,
        stream,
        user: userId,
        ...(kind.asksForUsage && { stream_options: { include_usage: true } }),
      }
    : { model: 'claude-haiku-4-5-20251001', max_tokens: output, messages, stream, metadata: { user_id: userId } }
  return { path: kind.isOpenai ? '/openai/v1/chat/completions' : '/anthropic/v1/messages', body: JSON.stringify(body) }
}

/** Does the text of a 200 have all that an answer of this kind says, though perhaps not its last line break? */
export function isWhole({ isOpenai, isStream }: Kind, text: string): boolean {
  if (isStream) return text.trimEnd().endsWith(isOpenai ? 'data: [DONE]' : 'data: {"type":"message_stop"}')
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

/** Does a stream that is not whole lack no more than its mark, and the usage before it? It then ends without an error. */
export const lacksMark = (end: string): boolean => /"finish_reason":"\w+"\}\],"usage":null\}\n\n$/.test(end)

/** Does a stream tell its client that it ended badly, in its provider's own way? */
export const endsInError = ({ isOpenai, isStream }: Kind, text: string): boolean =>
  isStream && (isOpenai ? /^data: \{"error":/m : /^event: error$/m).test(text)

/** The provider's id of an answer, which is in all of its parts. */
export const answerIdIn = (text: string): string | null => /"id":"((?:chatcmpl-|msg_)\w+)"/.exec(text)?.[1] ?? null
