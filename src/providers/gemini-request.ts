// What all of Gemini's operations read alike: the model in the path, and the query. Pure.

import type { GatewayError } from '../errors.ts'
import { invalidField } from './fields.ts'
import { refuseUnknownQuery } from './google-request.ts'

/** The path of the list of models, and what precedes the name of one. */
export const MODELS_PATH = '/:version{v1(?:alpha|beta)?}/models'

/** `/v1beta/models/{model}:verb`; aliases, tuned models and other names are not in the table of operations. */
export const pathOf = (verb: string) => `${MODELS_PATH}/:model{[\\w.-]+:${verb}}`

/** `gemini-2.5-flash` of `gemini-2.5-flash:generateContent`. */
export function modelInPath({ model = '' }: Readonly<Record<string, string>>): string {
  return model.split(':', 1)[0] ?? ''
}

/** The body may repeat the path's model, with or without `models/`. Which of two different ones counts is not documented. */
export function refuseOtherModel(named: unknown, model: string, field: string): GatewayError | null {
  const isSame = named === undefined || named === null || named === model || named === `models/${model}`
  return isSame ? null : invalidField(field, 'the model that the path names')
}

/** @param known what the operation takes beside Google's own. */
export function refuseQuery(query: URLSearchParams, known: string[] = []): GatewayError | null {
  const refused = refuseUnknownQuery(query, known)
  if (refused) return refused
  const formats = [...query.getAll('alt'), ...query.getAll('$alt')]
  const isOne = formats.length <= 1 && formats.every((format) => format === 'json' || format === 'sse')
  return isOne ? null : invalidField('alt', 'json or sse, once')
}

/** True for server-sent events, false for JSON. */
export function asksForEvents(query: URLSearchParams): boolean {
  return (query.get('alt') ?? query.get('$alt')) === 'sse'
}
