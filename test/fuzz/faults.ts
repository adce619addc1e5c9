// What is wrong with an answer: null for nothing. Pure.

import { z } from 'zod'
import { ERROR_STATUS } from '../../src/errors.ts'
import type { FuzzRequest } from './requests.ts'
import type { Sent } from './send.ts'

const openaiError = z.object({
  error: z.object({
    message: z.string().min(1),
    type: z.string(),
    param: z.string().nullable(),
    code: z.string().nullable(),
  }),
})
const anthropicError = z.object({
  type: z.literal('error'),
  request_id: z.string(),
  error: z.object({
    type: z.string(),
    message: z.string().min(1),
    code: z.string().optional(),
    field: z.string().optional(),
  }),
})
const problem = z.object({
  type: z.string().startsWith('urn:tollgate:problem:'),
  title: z.string().min(1),
  status: z.int(),
  detail: z.string().min(1),
  code: z.string(),
  field: z.string().optional(),
  request_id: z.string(),
})

/** A whole body has no field that could be named. */
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
  const type = String(headers['content-type'])
  const dialect = /^\/(openai|anthropic)(?=\/)/.exec(request.path)?.[1]
  if (!type.startsWith(dialect ? 'application/json' : 'application/problem+json')) return `${status} as ${type}`
  const read = (dialect === 'openai' ? openaiError : dialect ? anthropicError : problem).safeParse(body)
  if (!read.success) return `${status} is malformed: ${z.prettifyError(read.error)}`
  if ('detail' in read.data && read.data.status !== status) return `${status} says that it is ${read.data.status}`
  return status === 400 ? faultOfNames(read.data) : null
}

/** The gateway's own 400s of a body say which field is at fault; the provider's are its own. */
function faultOfNames(error: z.infer<typeof openaiError | typeof anthropicError | typeof problem>): string | null {
  const { code, field, message } =
    'detail' in error
      ? { ...error, message: error.detail }
      : 'type' in error
        ? error.error
        : { ...error.error, field: error.error.param ?? undefined }
  if (!code || !(code in ERROR_STATUS) || code === 'invalid_header' || field !== undefined) return null
  return OF_THE_WHOLE_BODY.test(message) ? null : `400 names no field: ${message}`
}

/** The same for faults that are the same. */
export const signatureOf = ({ route }: FuzzRequest, fault: string) =>
  `${route} ${fault.replaceAll(/[0-9a-f]{8}-[0-9a-f-]{27}|\d{2,}/g, '#').slice(0, 60)}`
