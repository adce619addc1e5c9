// Bedrock as AWS's official client calls it: Converse and InvokeModel (of Claude), whole and in frames.

import {
  BedrockRuntimeClient,
  BedrockRuntimeServiceException,
  ConverseCommand,
  ConverseStreamCommand,
  InvokeModelCommand,
  InvokeModelWithResponseStreamCommand,
} from '@aws-sdk/client-bedrock-runtime'
import { NodeHttpHandler } from '@smithy/node-http-handler'
import { json } from '../../src/local/fake-script.ts'
import { exceptionFrame } from '../../src/providers/eventstream.ts'
import type { Attempt } from './client-calls.ts'
import { type Api, type Asking, corruptFrame, retellFrames, type Streaming, type Subject } from './fault-subject.ts'

export const CLAUDE = 'us.anthropic.claude-haiku-4-5-20251001-v1:0'

const EXCEPTIONS: Record<number, string> = {
  400: 'ValidationException',
  403: 'AccessDeniedException',
  429: 'ThrottlingException',
  500: 'InternalServerException',
  503: 'ServiceUnavailableException',
}
export const bedrockRefusal: Api['refusal'] = (status, headers) =>
  json({ message: 'No.' }, status, { ...headers, 'x-amzn-errortype': EXCEPTIONS[status] ?? 'UnknownException' })

const bedrock: Api = {
  isTyped: (error) => error instanceof BedrockRuntimeServiceException,
  statusOf: (error) => (error instanceof BedrockRuntimeServiceException ? error.$metadata.httpStatusCode : undefined),
  names: {
    unreachable: 'ModelErrorException',
    timeout: 'ModelTimeoutException',
    ended: 'ModelStreamErrorException',
    withdrawn: 'ValidationException',
  },
  // Statuses that its SDK does not try again.
  unreachable: 424,
  timeout: 408,
  is_kept_whole: true,
  refusal: bedrockRefusal,
  tries: (status) => ([429, 500, 502, 503, 504].includes(status) ? 3 : 1),
}

/** AWS's client over HTTP/1, which everything local speaks. It notes its attempts. */
function clientOf({ at, key, attempts, signal }: Asking): BedrockRuntimeClient {
  const requestHandler = new NodeHttpHandler()
  const handle = requestHandler.handle.bind(requestHandler)
  requestHandler.handle = async (request, options) => {
    const attempt: Attempt = { url: request.path, body: '', answer: null }
    attempts.push(attempt)
    const answered = await handle(request, options)
    const { statusCode: status, headers } = answered.response
    attempt.answer = new Response(null, { status, headers })
    return answered
  }
  // Aborting does not end an answer that has begun: destroying the handler does.
  signal.addEventListener('abort', () => setImmediate(() => requestHandler.destroy()))
  return new BedrockRuntimeClient({
    region: 'us-east-1',
    endpoint: `${at.url}/bedrock`,
    token: { token: key },
    authSchemePreference: ['httpBearerAuth'],
    requestHandler,
  })
}

const inConverse = ({ text, max_tokens }: Asking) => ({
  modelId: CLAUDE,
  messages: [{ role: 'user' as const, content: [{ text }] }],
  inferenceConfig: { maxTokens: max_tokens },
})
const inInvoke = ({ text, max_tokens }: Asking) => ({
  modelId: CLAUDE,
  contentType: 'application/json',
  body: JSON.stringify({
    anthropic_version: 'bedrock-2023-05-31',
    max_tokens,
    messages: [{ role: 'user', content: text }],
  }),
})

const frames: Streaming = {
  errorEvent: exceptionFrame('throttlingException', 'busy'),
  error_class: 'upstream_rate_limited',
  garbage: corruptFrame,
  garbageCharged: 'hold',
  // Converse tells its usage after its end.
  withoutLast: { isShort: false, charged: 'hold' },
  retell: retellFrames,
}

const whole = { ...bedrock, stream: null }
const streamed = { ...bedrock, stream: frames }

export const BEDROCK: Subject[] = [
  {
    ...whole,
    name: 'bedrock converse',
    unread: 'hold',
    async call(asking) {
      const { output } = await clientOf(asking).send(new ConverseCommand(inConverse(asking)), {
        abortSignal: asking.signal,
      })
      return output?.message?.content?.[0]?.text ?? ''
    },
  },
  {
    ...streamed,
    name: 'bedrock converse, streamed',
    unread: 'hold',
    async call(asking) {
      const { stream } = await clientOf(asking).send(new ConverseStreamCommand(inConverse(asking)), {
        abortSignal: asking.signal,
      })
      let said = ''
      for await (const event of stream ?? []) {
        said += event.contentBlockDelta?.delta?.text ?? ''
        asking.onPiece()
      }
      return said
    },
  },
  {
    ...whole,
    name: 'bedrock invoke',
    unread: 'estimated',
    async call(asking) {
      const { body } = await clientOf(asking).send(new InvokeModelCommand(inInvoke(asking)), {
        abortSignal: asking.signal,
      })
      return JSON.parse(body.transformToString()).content?.[0]?.text ?? ''
    },
  },
  {
    ...streamed,
    name: 'bedrock invoke, streamed',
    unread: 'estimated',
    stream: { ...frames, withoutLast: { isShort: true, charged: 'reported' } },
    async call(asking) {
      const { body } = await clientOf(asking).send(new InvokeModelWithResponseStreamCommand(inInvoke(asking)), {
        abortSignal: asking.signal,
      })
      let said = ''
      for await (const { chunk } of body ?? []) {
        said += JSON.parse(new TextDecoder().decode(chunk?.bytes)).delta?.text ?? ''
        asking.onPiece()
      }
      return said
    },
  },
]
