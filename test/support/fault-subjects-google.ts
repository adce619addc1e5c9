// Gemini as Google's official client calls it, its growing array as a plain client reads it, and what is paid by the call.

import { ApiError, GoogleGenAI } from '@google/genai'
import type { PerCallConfig } from '../../src/providers/per-call.ts'
import { type Api, type Asking, refusalWithError, retellText, type Subject, statusIn } from './fault-subject.ts'

const MODEL = 'gemini-2.5-flash'
const ERROR = '{"error": {"code": 503, "message": "busy", "status": "UNAVAILABLE"}}'

const google: Api = {
  isTyped: (error) => error instanceof ApiError,
  statusOf: statusIn,
  unreachable: 424,
  timeout: 424,
  is_kept_whole: false,
  refusal: refusalWithError,
  tries: () => 1,
}

/** What a call by plain `fetch` throws, in place of an SDK. */
class HttpError extends Error {
  readonly status: number
  constructor(status: number, text: string) {
    super(text)
    this.status = status
  }
}

const plain: Api = { ...google, isTyped: (error) => error instanceof HttpError }

const clientOf = ({ at, key, fetch }: Asking) =>
  new GoogleGenAI({ apiKey: key, httpOptions: { baseUrl: `${at.url}/gemini`, fetch } })

const asked = ({ text, max_tokens, signal }: Asking) => ({
  model: MODEL,
  contents: text,
  config: { maxOutputTokens: max_tokens, abortSignal: signal },
})

async function post(asking: Asking, path: string, body: object, headers: Record<string, string>) {
  const { at, fetch, signal, onPiece } = asking
  const answer = await fetch(at.url + path, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
    signal,
  })
  let text = ''
  const decoder = new TextDecoder()
  for await (const piece of answer.body ?? []) {
    text += decoder.decode(piece, { stream: true })
    onPiece()
  }
  if (!answer.ok) throw new HttpError(answer.status, text)
  return text
}

const googleKey = ({ key }: Asking) => ({ 'x-goog-api-key': key })

/** Reads the array as a plain client would. Throws where it cannot be parsed or holds an error. */
function saidIn(text: string): string {
  let objects: { error?: { code: number }; candidates?: { content: { parts: { text: string }[] } }[] }[]
  try {
    objects = JSON.parse(text)
  } catch {
    throw new HttpError(200, text)
  }
  const error = objects.find((object) => object.error)?.error
  if (error) throw new HttpError(error.code, JSON.stringify(error))
  return objects.map(({ candidates }) => candidates?.[0]?.content.parts[0]?.text ?? '').join('')
}

/** A service that is configuration alone. */
export const thingsAt = (base_url: string): PerCallConfig => ({
  provider: 'things',
  base_url,
  credential_header: 'x-things-key',
  routes: [{ name: 'make', method: 'POST', path: '/v2/:verb{things:make}', usd_per_request: 0.25 }],
})

export const GOOGLE_AND_PER_CALL: Subject[] = [
  {
    ...google,
    name: 'gemini',
    unread: 'hold',
    stream: null,
    call: async (asking) => (await clientOf(asking).models.generateContent(asked(asking))).text ?? '',
  },
  {
    ...google,
    name: 'gemini, streamed',
    unread: 'hold',
    async call(asking) {
      let said = ''
      for await (const chunk of await clientOf(asking).models.generateContentStream(asked(asking))) {
        said += chunk.text ?? ''
        asking.onPiece()
      }
      return said
    },
    stream: {
      errorEvent: `data: ${ERROR}\r\n\r\n`,
      error_class: 'upstream_overloaded',
      garbage: () => 'data: {"broken": }\r\n\r\n',
      garbageCharged: 'hold',
      // The last one says why it ended, and what was used.
      withoutLast: { isShort: true, charged: 'hold' },
      retell: retellText,
    },
  },
  {
    ...plain,
    name: 'gemini, streamed as an array',
    unread: 'hold',
    async call(asking) {
      const contents = [{ role: 'user', parts: [{ text: asking.text }] }]
      const body = { contents, generationConfig: { maxOutputTokens: asking.max_tokens } }
      return saidIn(await post(asking, `/gemini/v1beta/models/${MODEL}:streamGenerateContent`, body, googleKey(asking)))
    },
    stream: {
      errorEvent: `,\r\n${ERROR}\r\n]`,
      error_class: 'upstream_overloaded',
      garbage: () => ',\r\n{"broken": }\r\n',
      garbageCharged: 'hold',
      withoutLast: { isShort: true, charged: 'hold' },
      retell: retellText,
    },
  },
  {
    ...plain,
    name: 'google places',
    unread: 'reported',
    is_per_call: true,
    stream: null,
    call: (asking) =>
      post(
        asking,
        '/google-places/v1/places:searchText',
        { textQuery: asking.text },
        { ...googleKey(asking), 'X-Goog-FieldMask': '*' },
      ),
  },
  {
    ...plain,
    name: 'a configured service',
    unreachable: 502,
    timeout: 504,
    unread: 'reported',
    is_per_call: true,
    stream: null,
    call: (asking) => post(asking, '/things/v2/things:make', { a: asking.text }, { 'x-things-key': asking.key }),
  },
]
