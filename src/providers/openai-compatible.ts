// The dialect of a provider that speaks OpenAI's API, made of its row of configuration alone. Pure.

import { readBearer } from './bearer.ts'
import type { ConfiguredProvider } from './compatible/configured.ts'
import { atDatedPath } from './compatible/deployments.ts'
import type { CompatibleProvider, OPERATIONS, Quirks } from './compatible/provider.ts'
import { withQuirks } from './compatible/quirks.ts'
import type { Dialect, Upstream } from './dialect.ts'
import { openai } from './openai.ts'
import { wireError } from './openai-errors.ts'
import { refusal, statusNotRepeated, statusOf } from './refusals.ts'

const CHAT_PATH = '/v1/chat/completions'

/** A token of Microsoft Entra (a JWT), which a caller may bring in place of a key: it works only as a bearer token. */
const TOKEN = /^eyJ[\w-]+\./

/** The paths in OpenAI's own table of each operation that a row may name. A path that is not in that table is not metered. */
const PATHS: Record<(typeof OPERATIONS)[number], string[]> = {
  completions: ['/v1/completions'],
  embeddings: ['/v1/embeddings'],
  responses: ['/v1/responses'],
  models: ['/v1/models', '/v1/models/:model'],
}

export function openAICompatible(provider: CompatibleProvider): Dialect {
  const { name, credential_header, quirks, max_output_tokens } = provider
  const paths = [CHAT_PATH, ...provider.operations.flatMap((operation) => PATHS[operation])]
  const version = versionOf(provider)
  const operations = openai.operations
    .filter(({ path }) => paths.includes(path))
    .map((operation) => withQuirks({ ...operation, path: version + operation.path.slice('/v1'.length) }, quirks))
  const dated = provider.deployments ? operations.filter(({ method }) => method === 'POST') : []
  return {
    ...openai,
    provider: name,
    operations: [...operations, ...dated.map((operation) => atDatedPath(operation, version))],
    // Groq's SDK and Azure's URLs: `/groq/openai/v1/chat/completions`.
    optional_prefix: '/openai',
    request_id_header: provider.request_id_header,
    forwarded_headers: ['content-type', 'accept', 'user-agent', 'x-stainless-*', ...provider.forwarded_headers],
    own_key_headers: [],
    readCredential: (headers) => (credential_header === 'api-key' && headers.get('api-key')) || readBearer(headers),
    setCredential(headers, credential) {
      if (credential_header === 'api-key' && !TOKEN.test(credential)) headers.set('api-key', credential)
      else headers.set('authorization', `Bearer ${credential}`)
    },
    errorResponse: ERROR_RESPONSES[quirks.error_shape],
    maxOutputTokens: () => max_output_tokens,
  }
}

const statusErrorResponse: Dialect['errorResponse'] = (error, request_id, cap_status) => {
  const status = statusNotRepeated(error, cap_status)
  const { code, ...wire } = wireError(error)
  const body = { error: { ...wire, code: status, metadata: { code } } }
  return refusal(error, status, body, { 'x-request-id': request_id })
}

const flatErrorResponse: Dialect['errorResponse'] = (error, request_id, cap_status) => {
  const wire = wireError(error)
  const body = { object: 'error', ...wire, error: wire }
  return refusal(error, statusOf(error, cap_status), body, { 'x-request-id': request_id })
}

const ERROR_RESPONSES: Record<Quirks['error_shape'], Dialect['errorResponse']> = {
  openai: openai.errorResponse,
  flat: flatErrorResponse,
  status: statusErrorResponse,
}

/** Where its calls go: the base URL without the version, which stands in the operations' paths. */
export function upstreamOf(provider: ConfiguredProvider): Upstream {
  const { base_url, credential } = provider
  return { base_url: base_url.slice(0, base_url.length - versionOf(provider).length), credential }
}

/** Clients say `/acme/v1` where the base URL ends in `/v1`, else `/acme`. */
export function versionOf({ base_url }: Pick<CompatibleProvider, 'base_url'>): '/v1' | '' {
  return base_url.endsWith('/v1') ? '/v1' : ''
}
