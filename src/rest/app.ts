// What every REST route has in common: strict validation that names the fields, and problem documents for all errors.

import { OpenAPIHono, z } from '@hono/zod-openapi'
import type { Context } from 'hono'
import { GatewayFault, logFault } from '../fault.ts'
import { problemResponse } from '../problem.ts'
import { invalidRequest } from './invalid-request.ts'
import { gatewayErrorOf } from './thrown.ts'

export interface RestEnv<Variables extends object> {
  Variables: Variables & { request_id?: string }
}

/** An app whose routes answer invalid requests and exceptions with problem documents. */
export function restApp<Variables extends object = object>(): OpenAPIHono<RestEnv<Variables>> {
  const app = new OpenAPIHono<RestEnv<Variables>>({
    defaultHook: (result, c) => {
      if (!result.success)
        return problemResponse(
          invalidRequest(result.error, 'data' in result ? result.data : undefined, result.target),
          c.get('request_id'),
        )
    },
  })
  app.onError(answerThrown)
  return app
}

/** Whatever was thrown, as a problem document. */
export function answerThrown(thrown: unknown, c: Context): Response {
  const error = gatewayErrorOf(thrown)
  logFault(error, thrown, c.get('request_id'))
  return problemResponse(error, c.get('request_id'))
}

export const notFound = (what: string) => new GatewayFault({ code: 'not_found', message: `There is no such ${what}.` })

/** @param field of the request that something else already has. */
export const conflict = (message: string, field?: string) =>
  new GatewayFault({ code: 'conflict', message, ...(field !== undefined && { field }) })

/** @throws {GatewayFault} `not_found` where there is none. */
export function found<T>(row: T | null, what: string): T {
  if (row === null) throw notFound(what)
  return row
}

const problemSchema = z
  .object({
    type: z.string(),
    title: z.string(),
    status: z.int(),
    detail: z.string(),
    code: z.string(),
    field: z.string().optional(),
    errors: z.array(z.object({ field: z.string(), message: z.string() })).optional(),
    request_id: z.string().optional(),
  })
  .openapi('Problem')

/** A JSON answer in a route's `responses`. */
export const answers = <S extends z.ZodType>(schema: S, description: string) => ({
  description,
  content: { 'application/json': { schema } },
})

/** A 201 in a route's `responses`, as `created` sends it. */
export const creates = <S extends z.ZodType>(schema: S, description: string) => ({
  ...answers(schema, description),
  headers: {
    Location: {
      description: 'The path of what was made.',
      schema: { type: 'string' as const, format: 'uri-reference' },
    },
  },
})

/** @param collection the path that `/{id}` of what was made follows, absolute or relative to the request's. */
export function created<T extends { id: string }>(c: Context, made: T, collection = c.req.path) {
  return c.json(made, 201, { location: `${collection}/${made.id}` })
}

/** A required JSON body in a route's `request`. */
export const takes = <S extends z.ZodType>(schema: S) => ({
  required: true,
  content: { 'application/json': { schema } },
})

/** Where callers put their credential; the names are those of the document's security schemes. */
export const callerSecurity = [{ bearer: [] }, { 'x-api-key': [] }, { 'x-tollgate-key': [] }]

const PROBLEMS_OF_EVERY_ROUTE = [400, 401, 403, 500, 503]

/** Documents the errors that a route's handler throws, with these statuses, and those that every route has. */
export const problems = (...statuses: number[]) =>
  Object.fromEntries(
    [...PROBLEMS_OF_EVERY_ROUTE, ...statuses].map((status) => [
      status,
      { description: 'A problem document', content: { 'application/problem+json': { schema: problemSchema } } },
    ]),
  )
