// Google's Gemini API as Tollgate knows it: which operations it can meter, and how its SDK expects to be refused. Tuned
// models, cached contents, files, batches, interactions and the live API are not in the table, so they are refused. Pure.

import type { GatewayError } from '../errors.ts'
import type { Asked, Dialect, Operation } from './dialect.ts'
import { meterEmbed, readBatchEmbedBound, readEmbedBound } from './gemini-embed.ts'
import { passWholeObjects } from './gemini-frames.ts'
import { editGenerate, readGenerateBound } from './gemini-generate.ts'
import { meterGenerate } from './gemini-meter.ts'
import { asksForEvents, MODELS_PATH, pathOf, refuseQuery } from './gemini-request.ts'
import { googleError } from './google-errors.ts'
import { GOOGLE } from './google-request.ts'
import { unmetered } from './refusals.ts'
import { sseError } from './sse.ts'

const generateContent: Operation = {
  name: 'generate_content',
  method: 'POST',
  path: pathOf('generateContent'),
  readBound: (asked) => readGenerateBound(asked, false),
  edits: ({ body }, granted_output_tokens) => editGenerate(body, granted_output_tokens),
  meter: (asked) => meterGenerate(asked, false),
}

/** Events with `?alt=sse`, else a JSON array that grows. */
const streamGenerateContent: Operation = {
  ...generateContent,
  name: 'stream_generate_content',
  path: pathOf('streamGenerateContent'),
  readBound: (asked) => readGenerateBound(asked, true),
  filter: ({ query }) => (asksForEvents(query) ? null : passWholeObjects()),
  meter: (asked) => meterGenerate(asked, true),
  streams: true,
}

const embedContent: Operation = {
  name: 'embed_content',
  method: 'POST',
  path: pathOf('embedContent'),
  readBound: readEmbedBound,
  meter: () => meterEmbed,
}

const batchEmbedContents: Operation = {
  ...embedContent,
  name: 'batch_embed_contents',
  path: pathOf('batchEmbedContents'),
  readBound: readBatchEmbedBound,
}

/** The most tokens that known models answer with, thoughts included. First match wins. */
const MAX_OUTPUT_TOKENS: [RegExp, number][] = [
  // Beside an input of 8,192: https://ai.google.dev/gemini-api/docs/speech-generation
  [/^gemini-.*tts/, 16_384],
  [/^gemini-2\.0-flash-thinking/, 65_536],
  [/^gemini-(1\.5|2\.0)-/, 8_192],
  [/^gemini-(2\.5|3(\.\d+)?)-/, 65_536],
]

/** Parameters of the list of models. */
const PAGING = ['pageSize', 'page_size', 'pageToken', 'page_token']

/** A free operation. Most parameters of the query are refused: they could turn a free call into another one. */
const free = (name: string, path: string, method: Operation['method'] = 'GET', known: string[] = []): Operation => ({
  ...unmetered(name, path, method),
  refuse: ({ query }) => refuseQuery(query, known),
})

export const gemini: Dialect = {
  ...GOOGLE,
  provider: 'gemini',
  operations: [
    generateContent,
    streamGenerateContent,
    embedContent,
    batchEmbedContents,
    free('count_tokens', pathOf('countTokens'), 'POST'),
    free('models_list', MODELS_PATH, 'GET', PAGING),
    free('models_get', `${MODELS_PATH}/:model{[\\w.-]+}`),
  ],
  forwarded_headers: ['content-type', 'accept', 'user-agent', 'x-goog-api-client', 'x-server-timeout'],
  streamError,
  maxOutputTokens: (model) => MAX_OUTPUT_TOKENS.find(([family]) => family.test(model))?.[1] ?? null,
}

/**
 * The SDK throws on an event with an error. In an array, the error is one more object after the last whole one. Without an
 * object before it, or where `asked` is left out, the array cannot be parsed, which no client overlooks.
 */
function streamError(error: GatewayError, _request_id: string, asked?: Pick<Asked, 'query'>): Uint8Array {
  const wire = googleError(error)
  if (asked === undefined || asksForEvents(asked.query)) return sseError(wire)
  return new TextEncoder().encode(`\n,\n${JSON.stringify(wire)}\n]`)
}
