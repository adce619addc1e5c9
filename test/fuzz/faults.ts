// Finds what is wrong with an answer. Pure.

import { z } from 'zod'
import { ERROR_STATUS } from '../../src/errors.ts'
import type { Kind } from './product.ts'
import type { FuzzRequest } from './requests.ts'
import type { Sent } from './send.ts'

/** What an error tells programs. */
interface Told {
  code: string | null
  field: string | null
  message: string
}

const message = z.string().min(1)
const field = z.string().nullish()

const openaiError = z
  .object({ error: z.object({ message, type: z.string(), param: z.string().nullable(), code: z.string().nullable() }) })
  .transform(({ error }): Told => ({ code: error.code, field: error.param, message: error.message }))
const anthropicError = z
  .object({
    type: z.literal('error'),
    request_id: z.string().nullable(),
    error: z.object({ type: z.string(), message, code: z.string().nullish(), field }),
  })
  .transform(({ error }): Told => ({ code: error.code ?? null, field: error.field ?? null, message: error.message }))
const bedrockError = z
  .object({ message, code: z.string().nullish(), field })
  .transform(({ message, code = null, field = null }): Told => ({ code, field, message }))
const googleError = z
  .object({ error: z.object({ code: z.int(), message, status: z.string(), reason: z.string().nullish(), field }) })
  .transform(({ error }): Told => ({ code: error.reason ?? null, field: error.field ?? null, message: error.message }))
/** A service's own errors may be anything. */
const perCallError = z
  .object({ error: z.object({ code: z.string(), message, field }) })
  .transform(({ error }): Told => ({ code: error.code, field: error.field ?? null, message: error.message }))
  .or(z.object({ error: z.string() }).transform((): Told => ({ code: null, field: null, message: '' })))
const problem = z
  .object({
    type: z.string().startsWith('urn:tollgate:problem:'),
    title: message,
    status: z.int(),
    detail: message,
    code: z.string(),
    field,
    request_id: z.string(),
  })
  .transform(({ code, field = null, detail }): Told => ({ code, field, message: detail }))

const ERRORS: Record<Kind, z.ZodType<Told>> = {
  openai: openaiError,
  anthropic: anthropicError,
  bedrock: bedrockError,
  google: googleError,
  per_call: perCallError,
  admin: problem,
  caller: problem,
  open: problem,
}

/** Messages about the body as a whole, which have no field to name. */
const OF_THE_WHOLE_BODY = /body must|body is|body ended|JSON in request body/i

export function faultOf(request: FuzzRequest, sent: Sent): string | null {
  if ('lost' in sent) return sent.lost === 'cut' ? null : `${sent.lost}: ${sent.why}`
  const { status, headers, text } = sent
  if (status >= 500) return `${status}: ${text.slice(0, 300)}`
  if (status < 400) return request.may_enter ? null : `${status} without a credential that opens it`
  if (request.method === 'HEAD') return null
  let body: unknown
  try {
    body = JSON.parse(text)
  } catch {
    return `${status} is not JSON: ${text.slice(0, 100)}`
  }
  const error = ERRORS[request.kind]
  const type = String(headers['content-type'])
  if (!type.startsWith(error === problem ? 'application/problem+json' : 'application/json'))
    return `${status} as ${type}`
  const read = error.safeParse(body)
  if (!read.success) return `${status} is malformed: ${z.prettifyError(read.error)}`
  const said = statusIn(body)
  if (said !== null && said !== status) return `${status} says that it is ${said}`
  return status === 400 ? faultOfNames(read.data) : null
}

/** Problem documents and Google's errors repeat their status. */
function statusIn(body: unknown): number | null {
  const { status, error } = Object(body)
  if (typeof status === 'number') return status
  return typeof error?.code === 'number' ? error.code : null
}

/** The gateway's own 400s about a body must name the field at fault. The provider's need not. */
function faultOfNames({ code, field, message }: Told): string | null {
  const isOurs = code !== null && code in ERROR_STATUS && ERROR_STATUS[code as keyof typeof ERROR_STATUS] === 400
  if (!isOurs || code === 'invalid_header' || field !== null || OF_THE_WHOLE_BODY.test(message)) return null
  return `400 names no field: ${message}`
}

/** Equal for faults that are the same but for ids and numbers. */
export const signatureOf = ({ route }: FuzzRequest, fault: string) =>
  `${route} ${fault.replaceAll(/[0-9a-f]{8}-[0-9a-f-]{27}|\d{2,}/g, '#').slice(0, 60)}`
