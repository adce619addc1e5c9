// Anthropic's API as Tollgate knows it: which operations it can meter, and how its SDKs expect to be refused. Pure.

import { ERROR_STATUS, factsOf, type GatewayError } from '../errors.ts'
import { messageBatches } from './anthropic-batches.ts'
import { editMessage, readMessageBound } from './anthropic-messages.ts'
import { meterMessage } from './anthropic-meter.ts'
import { readBearer } from './bearer.ts'
import type { Dialect, Operation } from './dialect.ts'
import { refusal, statusOf, unmetered } from './refusals.ts'
import { sseError } from './sse.ts'

const messages: Operation = {
  name: 'messages',
  method: 'POST',
  path: '/v1/messages',
  readBound: ({ body, bytes }) => readMessageBound(body, bytes),
  edits: ({ body }, granted_output_tokens) => editMessage(body, granted_output_tokens),
  meter: ({ body }) => meterMessage(body),
}

const OAUTH_BETA = 'oauth-2025-04-20'

export const anthropic: Dialect = {
  provider: 'anthropic',
  operations: [
    messages,
    ...messageBatches,
    unmetered('count_tokens', '/v1/messages/count_tokens', 'POST'),
    unmetered('models_list', '/v1/models'),
    unmetered('models_get', '/v1/models/:model'),
  ],
  request_id_header: 'request-id',
  forwarded_headers: [
    'content-type',
    'accept',
    'user-agent',
    'anthropic-version',
    'anthropic-beta',
    'anthropic-dangerous-direct-browser-access',
    'x-client-request-id',
    'x-stainless-*',
  ],
  demanded_headers: [['anthropic-version', '2023-06-01']],
  own_key_headers: ['anthropic-user-profile-id', 'anthropic-workspace-id'],
  readCredential: (headers) => headers.get('x-api-key')?.trim() || readBearer(headers),
  setCredential(headers, credential) {
    headers.delete('x-api-key')
    headers.delete('authorization')
    if (!credential.startsWith('sk-ant-oat')) {
      headers.set('x-api-key', credential)
      return
    }
    // OAuth tokens work only as bearer tokens, and only with this beta: see `prepareRequest` of Anthropic's SDK.
    headers.set('authorization', `Bearer ${credential}`)
    if (!headers.get('anthropic-beta')?.includes(OAUTH_BETA)) headers.append('anthropic-beta', OAUTH_BETA)
  },
  errorResponse(error, request_id, cap_status) {
    // 402 is Anthropic's own billing_error; the SDK raises PaymentRequiredError, once.
    const status = statusOf(error, cap_status, 402)
    return refusal(error, status, wireError(error, status, request_id), { 'request-id': request_id })
  },
  streamError(error, request_id) {
    return sseError(wireError(error, ERROR_STATUS[error.code], request_id), 'error')
  },
  // The API demands a bound from every client.
  maxOutputTokens: () => null,
}

/** Anthropic's error types by status: https://docs.claude.com/en/api/errors */
const ERROR_TYPE: Record<number, string> = {
  401: 'authentication_error',
  403: 'permission_error',
  404: 'not_found_error',
  413: 'request_too_large',
  429: 'rate_limit_error',
}

/**
 * At this error the SDK's `toolRunner`, which starts threads unless told not to, sends the whole call again without `thread`.
 * `ThreadUnsupportedRequestErrorDetails` of node_modules/@anthropic-ai/sdk/resources/messages/messages.d.ts
 */
const UNTHREADED = { error_code: 'thread_unsupported_request' }

function wireError(error: GatewayError, status: number, request_id: string) {
  const type = ERROR_TYPE[status] ?? (status >= 500 ? 'api_error' : 'invalid_request_error')
  return {
    type: 'error',
    error: {
      type: error.code === 'cap_exceeded' ? 'billing_error' : type,
      message: error.message,
      code: error.code,
      ...factsOf(error),
      ...(error.field === 'thread' && { details: UNTHREADED }),
    },
    request_id,
  }
}
