// Which credential of the gateway a request carries, and whether it brings its caller's own provider key beside it.
// Pure. What is ambiguous is refused: guessing would bill one person for another, or hand a gateway key to a provider.

import type { GatewayError } from '../errors.ts'
import type { ReadCredential } from '../providers/dialect.ts'
import { isJwtShaped } from './jwt.ts'
import { holdsKey, KEY_PREFIX } from './keys.ts'

export const GATEWAY_KEY_HEADER = 'x-tollgate-key'

/** Where clients put credentials: each is searched for a second gateway key, whichever one the dialect reads. */
const CREDENTIAL_HEADERS = ['authorization', 'x-api-key', 'x-goog-api-key', 'api-key']

export interface Credential {
  kind: 'key' | 'jwt'
  value: string
  /** True where the gateway's credential came in `x-tollgate-key` and the provider's own header is for the provider. */
  brings_own_key: boolean
}

export function readGatewayCredential(
  { headers, url }: Pick<Request, 'headers' | 'url'>,
  readCredential: ReadCredential,
): Credential | GatewayError {
  const own = headers.get(GATEWAY_KEY_HEADER)
  const inProviderHeader = readCredential(headers, url)
  const value = own ?? inProviderHeader
  if (!value) {
    const lacksScheme = headers.get('authorization')?.startsWith(KEY_PREFIX)
    const hint = lacksScheme ? ' In the authorization header "Bearer " goes before it.' : ''
    return refuse(`Send a Tollgate key where the client sends its API key, or in x-tollgate-key.${hint}`)
  }
  // `Headers` joins what was sent twice with a comma, which no credential contains.
  if (own?.includes(',')) return ambiguous(`${GATEWAY_KEY_HEADER} was sent more than once.`, GATEWAY_KEY_HEADER)
  if (inProviderHeader?.includes(',')) return ambiguous('The credential was sent more than once.')

  const kind = kindOf(value)
  if (!kind) return refuse('The credential is neither a Tollgate key (tg_...) nor a JWT.')
  const others = [inProviderHeader ?? '', ...CREDENTIAL_HEADERS.map((header) => withoutScheme(headers.get(header)))]
  for (const other of others) {
    // Beside `x-tollgate-key` a JWT may well be the provider's own credential; a Tollgate key never is, nor one in quotes.
    const isForGateway = /(^|[\s,])tg_/.test(other) || holdsKey(other) || (own === null && isJwtShaped(other))
    if (isForGateway && other !== value) return ambiguous('The request carries two different credentials for Tollgate.')
  }
  return { kind, value, brings_own_key: own !== null && Boolean(inProviderHeader) && inProviderHeader !== own }
}

/**
 * Whether a client that follows a redirect to another host sends its credential there: of all headers, `fetch` leaves only
 * `Authorization` out.
 */
export function takesCredentialAlong(
  request: Pick<Request, 'headers' | 'url'>,
  readCredential: ReadCredential,
): boolean {
  const credential = readGatewayCredential(request, readCredential)
  if (!('value' in credential)) return true
  return [...request.headers].some(([name, text]) => name !== 'authorization' && text.includes(credential.value))
}

function kindOf(value: string): Credential['kind'] | null {
  if (value.startsWith(KEY_PREFIX)) return 'key'
  return isJwtShaped(value) ? 'jwt' : null
}

function withoutScheme(value: string | null): string {
  return value?.replace(/^Bearer\s+/i, '') ?? ''
}

function refuse(message: string): GatewayError {
  return { code: 'unauthenticated', message }
}

function ambiguous(message: string, field?: string): GatewayError {
  return { code: 'invalid_header', message, ...(field ? { field } : {}) }
}
