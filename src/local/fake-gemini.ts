// Gemini's generateContent, streams (events and the growing array), embeddings, countTokens and models, as answers to
// requests: credentials, errors and JSON like theirs. https://ai.google.dev/api/generate-content

import type { IncomingHttpHeaders } from 'node:http'
import { isObject } from '../providers/answer.ts'
import { listOf } from '../providers/gemini-fields.ts'
import { json, type Script } from './fake-script.ts'
import {
  ANY_OBJECT,
  type Body,
  type Choice,
  lastUserText,
  parseBody,
  promptTokens,
  randomId,
  type Said,
  say,
  type Tool,
} from './fake-text.ts'

export const GOOGLE_CREDENTIAL = 'goog-fake'
/** Credentials that stand for a key that a caller brings. */
const OWN_CREDENTIAL = /^goog-own/

/** The models that it lists. Calls may name any other, as newer clients do. */
const MODELS = ['gemini-2.5-flash', 'gemini-2.5-flash-lite', 'gemini-2.0-flash', 'gemini-embedding-001']

const MOST_CANDIDATES = 8
const VERB = /:(generateContent|streamGenerateContent|embedContent|batchEmbedContents|countTokens)$/

/**
 * `/v1/models` is OpenAI's, too. Google's verbs or its key tell them apart; a colon does not, because the names of OpenAI's
 * fine-tuned models have some.
 */
export function isGemini({ pathname, searchParams }: URL, headers: IncomingHttpHeaders): boolean {
  if (/^\/v1(alpha|beta)\//.test(pathname)) return true
  if (!/^\/v1\/models(\/|$)/.test(pathname)) return false
  return VERB.test(pathname) || 'x-goog-api-key' in headers || searchParams.has('key')
}

/** Google's error envelope. */
export function googleRefusal(code: number, status: string, message: string): Script {
  return json({ error: { code, message, status } }, code)
}

/** The refusal of a request without exactly one, valid credential; null for any other. */
export function refuseCredential(headers: IncomingHttpHeaders, query: URLSearchParams): Script | null {
  const credential = headers['x-goog-api-key'] ?? query.get('key') ?? ''
  if (credential === '') return googleRefusal(403, 'PERMISSION_DENIED', 'Method does not allow unregistered callers.')
  const isAlone = !headers.authorization && !(headers['x-goog-api-key'] && query.has('key'))
  const isRight = credential === GOOGLE_CREDENTIAL || OWN_CREDENTIAL.test(String(credential))
  return isAlone && isRight ? null : googleRefusal(400, 'INVALID_ARGUMENT', 'API key not valid.')
}

export function answerGemini(method: string, url: URL, headers: IncomingHttpHeaders, bytes: Buffer): Script {
  const refused = refuseCredential(headers, url.searchParams)
  if (refused) return refused
  const [, resource = '', verb = ''] = /^\/v1(?:alpha|beta)?\/([^:]*):?(.*)$/.exec(url.pathname) ?? []
  const id = resource.replace(/^models\/?/, '')
  if (method === 'GET' && verb === '' && resource === 'models') return json({ models: MODELS.map(model) })
  const notFound = googleRefusal(404, 'NOT_FOUND', `models/${id} is not found for API version v1beta`)
  if (method === 'GET' && verb === '' && MODELS.includes(id)) return json(model(id))
  if (method !== 'POST' || id === '') return notFound
  const body = parseBody(bytes)
  if (!body) return googleRefusal(400, 'INVALID_ARGUMENT', 'Invalid JSON payload received.')
  if (verb === 'countTokens') return json({ totalTokens: promptTokens(bytes) })
  if (verb === 'embedContent') return json({ embedding: { values: [0.1, 0.2] } })
  if (verb === 'batchEmbedContents') return json({ embeddings: listOf(body.requests).map(() => ({ values: [0.1] })) })
  if (verb !== 'generateContent' && verb !== 'streamGenerateContent') return notFound
  if (body.contents === undefined) return googleRefusal(400, 'INVALID_ARGUMENT', 'contents is not specified')
  return generate(id, body, bytes, verb === 'generateContent' ? 'json' : url.searchParams.get('alt'))
}

const model = (id: string) => ({ name: `models/${id}`, version: '001', displayName: id, inputTokenLimit: 1_048_576 })

function generate(id: string, body: Body, bytes: Buffer, alt: string | null): Script {
  const config = bodyIn(body, 'generationConfig', 'generation_config')
  const max = config.maxOutputTokens ?? config.max_output_tokens
  if (max !== undefined && !(Number.isInteger(max) && Number(max) >= 1)) {
    return googleRefusal(400, 'INVALID_ARGUMENT', 'max_output_tokens must be positive.')
  }
  const candidates = Number(config.candidateCount ?? config.candidate_count ?? 1)
  if (!(candidates >= 1 && candidates <= MOST_CANDIDATES)) {
    return googleRefusal(400, 'INVALID_ARGUMENT', `candidateCount must be from 1 to ${MOST_CANDIDATES}.`)
  }
  const said = say({
    userText: textOf(body.contents),
    tools: toolsOf(body),
    choice: choiceOf(body),
    schema: schemaIn(config),
    bound: max,
  })
  const responseId = randomId('', 22)
  const chunk = (pieces: string[], soFar: number, finish: boolean) => ({
    candidates: Array.from({ length: candidates }, (_, index) => ({
      content: { role: 'model', parts: [partOf(said, pieces)] },
      ...(finish && { finishReason: said.truncated ? 'MAX_TOKENS' : 'STOP' }),
      index,
    })),
    usageMetadata: usageOf(bytes, soFar * candidates),
    modelVersion: id,
    responseId,
  })
  const headers = { 'x-request-id': randomId('goog_', 16), vary: 'Origin' }
  if (alt === 'json') return json(chunk(said.pieces, said.pieces.length, true), 200, headers)
  // A function call is one chunk; of text, each piece is one.
  const parts = said.tool ? [said.pieces] : said.pieces.map((piece) => [piece])
  const chunks = parts.map((pieces, at) =>
    JSON.stringify(chunk(pieces, said.tool ? said.pieces.length : at + 1, at === parts.length - 1)),
  )
  if (alt === 'sse') {
    return {
      headers: { ...headers, 'content-type': 'text/event-stream' },
      steps: chunks.map((data) => `data: ${data}\r\n\r\n`),
    }
  }
  const last = chunks.length - 1
  return {
    headers: { ...headers, 'content-type': 'application/json; charset=UTF-8' },
    steps: chunks.map((data, at) => `${at === 0 ? '[' : ',\r\n'}${data}${at === last ? ']' : '\r\n'}`),
  }
}

function usageOf(bytes: Buffer, output: number): Body {
  const promptTokenCount = promptTokens(bytes)
  return {
    promptTokenCount,
    candidatesTokenCount: output,
    totalTokenCount: promptTokenCount + output,
    promptTokensDetails: [{ modality: 'TEXT', tokenCount: promptTokenCount }],
  }
}

function partOf({ tool, truncated }: Said, pieces: string[]): Body {
  const text = pieces.join('')
  return tool ? { functionCall: { name: tool, args: truncated ? {} : JSON.parse(text) } } : { text }
}

function textOf(contents: unknown): string {
  const messages = listOf(contents).map((content) =>
    isObject(content) ? { role: content.role ?? 'user', content: listOf(content.parts) } : null,
  )
  return lastUserText(messages)
}

function choiceOf(body: Body): Choice {
  const toolConfig = bodyIn(body, 'toolConfig', 'tool_config')
  const { mode, ...config } = bodyIn(toolConfig, 'functionCallingConfig', 'function_calling_config')
  const names = listOf(config.allowedFunctionNames ?? config.allowed_function_names).map(String)
  if (mode === 'ANY') return names.length > 0 ? names : 'required'
  return mode === 'NONE' ? 'none' : 'auto'
}

function schemaIn(config: Body): unknown {
  const schema =
    config.responseSchema ?? config.response_schema ?? config.responseJsonSchema ?? config._responseJsonSchema
  const type = config.responseMimeType ?? config.response_mime_type
  return schema ?? (type === 'application/json' ? ANY_OBJECT : undefined)
}

function toolsOf(body: Body): Tool[] {
  return listOf(body.tools).flatMap((tool) =>
    (isObject(tool) ? listOf(tool.functionDeclarations) : []).flatMap((declared) =>
      isObject(declared) && typeof declared.name === 'string'
        ? [{ name: declared.name, schema: declared.parameters ?? declared.parametersJsonSchema }]
        : [],
    ),
  )
}

function bodyIn(body: Body, ...names: string[]): Body {
  const value = names.map((name) => body[name]).find(isObject)
  return value ?? {}
}
