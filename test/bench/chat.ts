// The call that the bench makes, in OpenAI's format: what the client sends (a short or a long prompt) and the upstream answers.

const PROMPT_TOKENS = 180
const COMPLETION_TOKENS = 40
/** What the upstream reports for every call, and so what every event must say. */
export const TOKENS_PER_CALL = PROMPT_TOKENS + COMPLETION_TOKENS
/** At the catalogue's price of the model. */
export const NANO_USD_PER_CALL = PROMPT_TOKENS * 150 + COMPLETION_TOKENS * 600

/** `long`: a prompt as coding agents send it, answered in JSON. */
export const MODES = ['json', 'stream', 'long'] as const
export type Mode = (typeof MODES)[number]

export const MARK_OF_STREAM = '"stream":true'

interface Message {
  role: 'system' | 'user' | 'assistant'
  content: string
}

const SHORT_PROMPT: Message[] = [
  {
    role: 'system',
    content: 'You answer in one short paragraph, in plain words, and you say so when you do not know. '.repeat(6),
  },
  { role: 'user', content: 'Why does ice float on water, and what would be different if it did not?' },
]

/** A conversation of some 200 KB, with a little text that is not ASCII. */
const LONG_PROMPT: Message[] = Array.from({ length: 60 }, (_, turn) => ({
  role: turn % 2 === 0 ? 'user' : 'assistant',
  content: Array.from({ length: 60 }, (_, line) => codeLine(turn, line)).join('\n'),
}))

function codeLine(turn: number, line: number): string {
  return `const value${line} = await read(path${turn}) // ${line % 20 === 0 ? 'naïve – see “notes”' : 'as the one before'}`
}

export function requestBody(mode: Mode): string {
  const messages = mode === 'long' ? LONG_PROMPT : SHORT_PROMPT
  return JSON.stringify({ model: 'gpt-4o-mini', messages, max_tokens: 256, ...(mode === 'stream' && { stream: true }) })
}

const common = {
  id: 'chatcmpl-bench',
  created: 1_750_000_000,
  model: 'gpt-4o-mini-2024-07-18',
  service_tier: 'default',
}
const usage = {
  prompt_tokens: PROMPT_TOKENS,
  completion_tokens: COMPLETION_TOKENS,
  total_tokens: TOKENS_PER_CALL,
  prompt_tokens_details: { cached_tokens: 0, audio_tokens: 0 },
  completion_tokens_details: { reasoning_tokens: 0, audio_tokens: 0 },
}
const pieces = Array.from({ length: COMPLETION_TOKENS }, (_, index) => ` word${index}`)
const event = (fields: object) =>
  `data: ${JSON.stringify({ ...common, object: 'chat.completion.chunk', usage: null, ...fields })}\n\n`
const chunk = (delta: object, finish_reason: string | null = null) =>
  event({ choices: [{ index: 0, delta, logprobs: null, finish_reason }] })

export const JSON_ANSWER = JSON.stringify({
  ...common,
  object: 'chat.completion',
  choices: [{ index: 0, message: { role: 'assistant', content: pieces.join('') }, finish_reason: 'stop' }],
  usage,
})

/** One event per token. */
export const STREAM_EVENTS = [
  chunk({ role: 'assistant', content: '' }),
  ...pieces.map((content) => chunk({ content })),
  chunk({}, 'stop'),
  event({ choices: [], usage }),
  'data: [DONE]\n\n',
]

const END_OF_JSON = '"finish_reason":"stop"'

/** What a whole answer contains, whoever passed it on. */
export const END_OF_ANSWER: Record<Mode, string> = {
  json: END_OF_JSON,
  stream: 'data: [DONE]\n\n',
  long: END_OF_JSON,
}
