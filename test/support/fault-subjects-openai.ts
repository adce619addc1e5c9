// OpenAI, a compatible provider, Anthropic, and Anthropic's messages on Bedrock, as their official clients call them.

import Anthropic from '@anthropic-ai/sdk'
import OpenAI from 'openai'
import { json } from '../../src/local/fake-script.ts'
import { exceptionFrame } from '../../src/providers/eventstream.ts'
import {
  type Api,
  type Asking,
  corruptFrame,
  refusalWithError,
  retellFrames,
  retellText,
  type Streaming,
  type Subject,
  statusIn,
} from './fault-subject.ts'
import { bedrockRefusal } from './fault-subjects-aws.ts'

/** The openai and anthropic clients retry these; a header of the gateway's, or of the provider's, stops them. */
const triesOf = (status: number) => (status === 429 || status >= 500 ? 3 : 1)

const openai: Api = {
  isTyped: (error) => error instanceof OpenAI.APIError,
  statusOf: statusIn,
  unreachable: 502,
  timeout: 504,
  is_kept_whole: false,
  refusal: refusalWithError,
  tries: triesOf,
}

const clientOf = (base: string, { at, key, fetch }: Asking) =>
  new OpenAI({ baseURL: at.url + base, apiKey: key, fetch, logLevel: 'off' })

/** @param error what comes in place of an event */
const chat = (base: string, model: string, name: string, unread: Subject['unread'], error: object): Subject[] => {
  const bodyOf = ({ text, max_tokens }: Asking) => ({
    model,
    max_tokens,
    messages: [{ role: 'user' as const, content: text }],
  })
  return [
    {
      ...openai,
      name,
      unread,
      stream: null,
      async call(asking) {
        const { signal } = asking
        const answer = await clientOf(base, asking).chat.completions.create(bodyOf(asking), { signal })
        return answer.choices?.[0]?.message.content ?? ''
      },
    },
    {
      ...openai,
      name: `${name}, streamed`,
      unread,
      async call(asking) {
        const { signal, onPiece } = asking
        const body = { ...bodyOf(asking), stream: true as const }
        let said = ''
        for await (const chunk of await clientOf(base, asking).chat.completions.create(body, { signal })) {
          said += chunk.choices[0]?.delta.content ?? ''
          onPiece()
        }
        return said
      },
      stream: {
        errorEvent: `data: ${JSON.stringify(error)}\n\n`,
        error_class: 'upstream_error',
        garbage: () => 'data: {broken\n\n',
        garbageCharged: 'reported',
        // Its choices have told why they finished before `[DONE]`.
        withoutLast: { isShort: false, charged: 'reported' },
        unasked: '"usage":{',
        retell: retellText,
      },
    },
  ]
}

const CHAT_ERROR = { message: 'busy', type: 'server_error', param: null, code: null }
const RESPONSE_ERROR = { ...CHAT_ERROR, code: 'server_error' }
const responseOf = ({ text, max_tokens }: Asking) => ({
  model: 'gpt-4o-mini',
  input: text,
  max_output_tokens: max_tokens,
})

const responses: Subject[] = [
  {
    ...openai,
    name: 'openai responses',
    unread: 'estimated',
    stream: null,
    async call(asking) {
      const { signal } = asking
      return (await clientOf('/openai/v1', asking).responses.create(responseOf(asking), { signal })).output_text
    },
  },
  {
    ...openai,
    name: 'openai responses, streamed',
    unread: 'estimated',
    async call(asking) {
      const { signal, onPiece } = asking
      const body = { ...responseOf(asking), stream: true as const }
      let said = ''
      for await (const event of await clientOf('/openai/v1', asking).responses.create(body, { signal })) {
        if (event.type === 'response.output_text.delta') said += event.delta
        onPiece()
      }
      return said
    },
    stream: {
      errorEvent: `event: error\ndata: ${JSON.stringify({ ...RESPONSE_ERROR, type: 'error', error: RESPONSE_ERROR })}\n\n`,
      error_class: 'upstream_error',
      garbage: () => 'event: response.output_text.delta\ndata: {broken\n\n',
      garbageCharged: 'reported',
      withoutLast: { isShort: true, charged: 'hold' },
      retell: retellText,
    },
  },
]

const embeddings: Subject = {
  ...openai,
  name: 'openai embeddings',
  unread: 'hold',
  stream: null,
  async call(asking) {
    const { signal, text } = asking
    const body = { model: 'text-embedding-3-small', input: text, encoding_format: 'float' as const }
    return JSON.stringify((await clientOf('/openai/v1', asking).embeddings.create(body, { signal })).data)
  },
}

const anthropic: Api = {
  isTyped: (error) => error instanceof Anthropic.APIError,
  statusOf: statusIn,
  unreachable: 502,
  timeout: 504,
  is_kept_whole: false,
  refusal: (status, headers) => json({ type: 'error', error: { type: 'some_error', message: 'No.' } }, status, headers),
  tries: triesOf,
}

const messages = (model: string, name: string, api: Api, stream: Streaming): Subject[] => {
  const clientOf = ({ at, key, fetch }: Asking) =>
    new Anthropic({ baseURL: `${at.url}/anthropic`, apiKey: key, fetch, logLevel: 'off' })
  const bodyOf = ({ text, max_tokens }: Asking) => ({
    model,
    max_tokens,
    messages: [{ role: 'user' as const, content: text }],
  })
  return [
    {
      ...api,
      name,
      unread: 'estimated',
      stream: null,
      async call(asking) {
        const { signal } = asking
        const { content } = await clientOf(asking).messages.create(bodyOf(asking), { signal })
        return content?.[0]?.type === 'text' ? content[0].text : ''
      },
    },
    {
      ...api,
      name: `${name}, streamed`,
      unread: 'estimated',
      async call(asking) {
        const { signal, onPiece } = asking
        let said = ''
        for await (const event of await clientOf(asking).messages.create(
          { ...bodyOf(asking), stream: true },
          { signal },
        )) {
          if (event.type === 'content_block_delta' && event.delta.type === 'text_delta') said += event.delta.text
          onPiece()
        }
        return said
      },
      stream,
    },
  ]
}

export const OPENAI_AND_ANTHROPIC: Subject[] = [
  ...chat('/openai/v1', 'gpt-4o-mini', 'openai chat', 'estimated', { error: CHAT_ERROR }),
  ...responses,
  embeddings,
  ...chat('/groq/v1', 'llama-3.1-8b-instant', 'groq chat', 'hold', {
    error: { code: 502, message: 'busy' },
    choices: [],
  }),
  ...messages('claude-haiku-4-5-20251001', 'anthropic messages', anthropic, {
    errorEvent: 'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"busy"}}\n\n',
    error_class: 'upstream_overloaded',
    garbage: () => 'event: content_block_delta\ndata: {broken\n\n',
    garbageCharged: 'reported',
    withoutLast: { isShort: true, charged: 'reported' },
    retell: retellText,
  }),
  ...messages(
    'claude-on-bedrock',
    'anthropic messages on bedrock',
    { ...anthropic, refusal: bedrockRefusal, is_kept_whole: true },
    {
      errorEvent: exceptionFrame('throttlingException', 'busy'),
      error_class: 'upstream_rate_limited',
      garbage: corruptFrame,
      garbageCharged: 'hold',
      withoutLast: { isShort: true, charged: 'reported' },
      retell: retellFrames,
    },
  ),
]
