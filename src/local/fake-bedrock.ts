// Bedrock's runtime API, as answers to requests: credentials, errors, JSON and event streams like AWS's, in the format of
// each family of models. https://docs.aws.amazon.com/bedrock/latest/APIReference/

import type { IncomingHttpHeaders } from 'node:http'
import { isObject, objectOrEmpty, parseJsonOrUndefined } from '../providers/answer.ts'
import { jsonFrame } from '../providers/eventstream.ts'
import { answerMessage } from './fake-anthropic.ts'
import { FAMILIES } from './fake-bedrock-families.ts'
import { json, type Script } from './fake-script.ts'
import { isSigned } from './fake-sigv4.ts'
import {
  at,
  type Body,
  type Choice,
  lastUserText,
  parseBody,
  promptTokens,
  randomId,
  say,
  schemaOf,
  toolsIn,
} from './fake-text.ts'

export const BEDROCK_CREDENTIAL = 'bedrock-api-key-fake'
export const AWS_KEYS = { id: 'AKIAFAKEFAKEFAKEFAKE', secret: 'fake/secret+of+the+gateway' }
/** Credentials that stand for a key that a caller brings. */
const OWN_CREDENTIAL = /^Bearer bedrock-api-key-own/

const PATH = /^\/model\/([^/]+)\/(invoke|invoke-with-response-stream|converse|converse-stream|count-tokens)$/

export function answerBedrock(method: string, url: string, headers: IncomingHttpHeaders, bytes: Buffer): Script {
  const answer = route(method, url, headers, bytes)
  return { ...answer, headers: { ...answer.headers, 'x-amzn-requestid': randomId('', 32) } }
}

function route(method: string, url: string, headers: IncomingHttpHeaders, bytes: Buffer): Script {
  const { authorization = '' } = headers
  const isKnown = authorization === `Bearer ${BEDROCK_CREDENTIAL}` || OWN_CREDENTIAL.test(authorization)
  if (!isKnown && !isSigned({ method, url, headers, body: bytes }, AWS_KEYS, 'bedrock'))
    return refusal(403, 'AccessDeniedException', 'Authentication failed: Please make sure your API Key is valid.')
  const [, encoded = '', action = ''] = PATH.exec(new URL(url, 'http://fake').pathname) ?? []
  if (method !== 'POST' || !action) return refusal(404, 'UnknownOperationException', 'Unknown operation')
  const id = decodeURIComponent(encoded)

  const body = parseJsonOrUndefined(bytes.toString())
  if (body === undefined) return invalid('Malformed input request, please reformat your input and try again.')
  if (!isObject(body)) return invalid('Malformed input request: expected an object')
  if (action === 'count-tokens') return json({ inputTokens: promptTokens(bytes) })
  const streams = action.endsWith('stream')
  if (action.startsWith('converse')) return converse(body, bytes, streams)
  return invoke(id.replace(/^.*\//, ''), body, bytes, streams)
}

function refusal(status: number, type: string, message: string): Script {
  return json({ message }, status, { 'x-amzn-errortype': type })
}

const invalid = (message: string) => refusal(400, 'ValidationException', message)

const eventStream = (frames: Uint8Array[]): Script => ({
  headers: { 'content-type': 'application/vnd.amazon.eventstream' },
  steps: frames,
})

const eventFrame = (type: string, value: object) => jsonFrame({ ':message-type': 'event', ':event-type': type }, value)

/** Frames of real streams are padded, so that their length does not give the text away. */
const padding = (text: string) => 'abcdefghijklmnopqrstuvwxyz'.slice(0, 4 + (text.length % 20))

function converse(body: Body, bytes: Buffer, streams: boolean): Script {
  if (!Array.isArray(body.messages)) return invalid('messages is required')
  const config = objectOrEmpty(body.inferenceConfig)
  const said = say({
    userText: lastUserText(body.messages),
    tools: toolsIn(at(body.toolConfig, 'tools'), ['toolSpec'], ['inputSchema', 'json']),
    choice: choiceOf(at(body.toolConfig, 'toolChoice')),
    schema: schemaIn(body),
    bound: config.maxTokens,
  })
  const stopReason = said.truncated ? 'max_tokens' : said.tool ? 'tool_use' : 'end_turn'
  const usage = usageOf(body, promptTokens(bytes), said.pieces.length)
  const tier = isObject(body.serviceTier) ? { serviceTier: body.serviceTier } : {}
  const toolUse = { toolUseId: randomId('tooluse_', 22), name: said.tool }
  const text = said.pieces.join('')
  if (!streams) {
    const block = said.tool ? { toolUse: { ...toolUse, input: said.truncated ? {} : JSON.parse(text) } } : { text }
    const message = { role: 'assistant', content: [block] }
    return json({ output: { message }, stopReason, usage, metrics: { latencyMs: 7 }, ...tier })
  }
  const event = (type: string, value: Body) => eventFrame(type, { ...value, p: padding(JSON.stringify(value)) })
  return eventStream([
    event('messageStart', { role: 'assistant' }),
    ...(said.tool ? [event('contentBlockStart', { contentBlockIndex: 0, start: { toolUse } })] : []),
    ...said.pieces.map((piece) =>
      event('contentBlockDelta', {
        contentBlockIndex: 0,
        delta: said.tool ? { toolUse: { input: piece } } : { text: piece },
      }),
    ),
    event('contentBlockStop', { contentBlockIndex: 0 }),
    event('messageStop', { stopReason }),
    event('metadata', { usage, metrics: { latencyMs: 7 }, ...tier }),
  ])
}

function usageOf(body: Body, input: number, output: number): Body {
  // Half the prompt of a body with cache points is written to the cache.
  const asText = JSON.stringify(body)
  const written = asText.includes('"cachePoint":{') ? Math.floor(input / 2) : 0
  const ttl = asText.includes('"ttl":"1h"') ? '1h' : '5m'
  return {
    inputTokens: input - written,
    outputTokens: output,
    totalTokens: input + output,
    serverToolUsage: {},
    ...(written > 0 && { cacheWriteInputTokens: written, cacheDetails: [{ ttl, inputTokens: written }] }),
  }
}

function invoke(id: string, body: Body, bytes: Buffer, streams: boolean): Script {
  const plain = id.replace(/^(us|eu|apac|global)\./, '')
  if (plain.startsWith('anthropic.claude-')) return invokeClaude(plain, body, bytes, streams)
  const family = Object.keys(FAMILIES).find((prefix) => plain.startsWith(prefix))
  const speak = family && FAMILIES[family]
  if (!speak) return invalid('The provided model identifier is invalid.')
  const input = promptTokens(bytes)
  const { answer, chunks, output } = speak(body, input)
  const counts = { 'x-amzn-bedrock-input-token-count': String(input), 'x-amzn-bedrock-invocation-latency': '7' }
  if (!streams) return json(answer, 200, { ...counts, 'x-amzn-bedrock-output-token-count': String(output) })
  return eventStream(chunked(chunks, input, output))
}

/** The last chunk tells what was used. */
function chunked(chunks: object[], input: number, output: number): Uint8Array[] {
  const metrics = {
    'amazon-bedrock-invocationMetrics': {
      inputTokenCount: input,
      outputTokenCount: output,
      invocationLatency: 7,
      firstByteLatency: 3,
    },
  }
  return chunks.map((chunk, at) => {
    const text = JSON.stringify(at === chunks.length - 1 ? { ...chunk, ...metrics } : chunk)
    return eventFrame('chunk', { bytes: Buffer.from(text).toString('base64'), p: padding(text) })
  })
}

/** https://platform.claude.com/docs/en/api/versioning */
const VERSIONS: ReadonlySet<unknown> = new Set(['bedrock-2023-05-31', '2026-10-21'])

function invokeClaude(id: string, body: Body, bytes: Buffer, streams: boolean): Script {
  if (!VERSIONS.has(body.anthropic_version)) return invalid('anthropic_version: Field required')
  const extra = ['model', 'stream'].find((field) => field in body)
  if (extra) return invalid(`${extra}: Extra inputs are not permitted`)
  if (!Number.isInteger(body.max_tokens)) return invalid('max_tokens: Field required')
  const model = id.replace(/^anthropic\./, '').replace(/-v\d+(:.*)?$/, '')
  const answer = answerMessage({ ...body, stream: streams }, model, bytes)
  if (!streams) return answer
  const events = answer.steps.map((step) => JSON.parse(/^data: (.*)$/m.exec(String(step))?.[1] ?? '{}'))
  const usage = events.find(({ type }) => type === 'message_delta')?.usage
  return eventStream(
    chunked(
      events.filter(({ type }) => type !== 'ping'),
      usage.input_tokens,
      usage.output_tokens,
    ),
  )
}

function choiceOf(toolChoice: unknown): Choice {
  const name = at(toolChoice, 'tool', 'name')
  if (typeof name === 'string') return [name]
  return at(toolChoice, 'any') ? 'required' : 'auto'
}

/** Converse's own schema is a string of JSON; Claude's is among the fields that only Claude has. */
function schemaIn({ outputConfig, additionalModelRequestFields }: Body): unknown {
  const schema = at(outputConfig, 'textFormat', 'structure', 'jsonSchema', 'schema')
  if (typeof schema === 'string') return parseBody(schema)
  return schemaOf(at(additionalModelRequestFields, 'output_config', 'format'))
}
