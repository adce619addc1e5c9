// Who calls, by a signed key or a JWT. No I/O for keys: whether a key is still active is the ledger's to say.

import type { MiddlewareHandler } from 'hono'
import { timingSafeEqual } from 'hono/utils/buffer'
import type { Caller, KeyScope } from '../../durable-objects/ledger/types.ts'
import { readGatewayCredential } from '../auth/credential.ts'
import { isJwtShaped, type JwtClaims, type JwtRefusal, type JwtVerifier } from '../auth/jwt.ts'
import { KEY_PREFIX, type KeyRefusal, type KeyRing } from '../auth/keys.ts'
import { accepted, GatewayFault } from '../fault.ts'
import { readBearer } from '../providers/bearer.ts'
import type { ReadCredential } from '../providers/dialect.ts'

export interface CallerIdentity extends Caller {
  user_id: string
  via: 'key' | 'jwt'
  is_admin: boolean
  /** Whom a JWT names, to create the user where it is new; null for a key. */
  jwt: Pick<JwtClaims, 'issuer' | 'subject' | 'name'> | null
  /** True where the provider's own header carries the caller's provider key. */
  brings_own_key: boolean
}

export interface AuthenticateOptions {
  keys: KeyRing
  /** Null where JWTs are not accepted. */
  jwt: JwtVerifier | null
  /** Where the credential is, unless `x-tollgate-key` carries it. Default: `Authorization: Bearer`. */
  readCredential?: ReadCredential
  /** What a key must be allowed to do here. The ledger checks it. Default `call`. */
  scope?: KeyScope
}

/**
 * Sets `c.var.caller`, or throws a `GatewayFault`: `unauthenticated` (401), `invalid_header` (400) for credentials that
 * contradict each other, `keys_unavailable` (503) where a JWT's public keys cannot be read. Hono answers it with a problem
 * document unless the app's `onError` does otherwise.
 *
 * @example
 * ```ts
 * const keys = createKeyRing(secretsIn(env.KEY_SIGNING_SECRETS))
 * const app = new Hono()
 *
 * app.use('/api/*', authenticate({ keys, jwt: null }))
 * app.get('/api/me', (c) => c.json({ user_id: c.var.caller.user_id }))
 * ```
 */
export function authenticate(
  options: AuthenticateOptions,
): MiddlewareHandler<{ Variables: { caller: CallerIdentity } }> {
  const { keys, jwt, readCredential = readBearer, scope = 'call' } = options

  return async function authenticate(c, next) {
    const credential = accepted(readGatewayCredential(c.req.raw, readCredential))
    const { brings_own_key } = credential

    if (credential.kind === 'key') {
      const claims = await keys.verify(credential.value)
      if ('reason' in claims) throw unauthenticated(keyFault(claims))
      c.set('caller', { ...claims, scope, via: 'key', is_admin: false, jwt: null, brings_own_key })
    } else {
      const { user_id, is_admin, ...claims } = await verifiedJwt(jwt, credential.value)
      c.set('caller', { user_id, key_id: null, scope, via: 'jwt', is_admin, jwt: claims, brings_own_key })
    }
    if (brings_own_key && (await isGoodJwt(jwt, readCredential(c.req.raw.headers, c.req.raw.url) ?? ''))) {
      const message =
        "The JWT beside x-tollgate-key is, or may become, one for Tollgate. Send the provider's key there, or nothing."
      throw new GatewayFault({ code: 'invalid_header', message })
    }
    await next()
  }
}

export interface RequireAdminOptions {
  adminToken: string
  jwt: JwtVerifier | null
}

/**
 * Lets the admin token and JWTs with the admin role pass, both as `Authorization: Bearer`. Throws a `GatewayFault`:
 * `forbidden` (403) for keys and for JWTs without the role, else as `authenticate`.
 *
 * @example
 * ```ts
 * app.use('/admin/*', requireAdmin({ adminToken: env.ADMIN_TOKEN, jwt: null }))
 * ```
 */
export function requireAdmin({ adminToken, jwt }: RequireAdminOptions): MiddlewareHandler {
  if (!adminToken) throw new TypeError('an admin token is required')

  return async function requireAdmin(c, next) {
    const token = readBearer(c.req.raw.headers)
    if (!token) throw unauthenticated('Send the admin token as "Authorization: Bearer ...".')
    if (!(await timingSafeEqual(token, adminToken))) {
      if (token.startsWith(KEY_PREFIX))
        throw new GatewayFault({ code: 'forbidden', message: 'A key cannot administer.' })
      if (!isJwtShaped(token)) throw unauthenticated('The admin token is not valid.')
      const { is_admin } = await verifiedJwt(jwt, token)
      if (!is_admin) throw new GatewayFault({ code: 'forbidden', message: 'This token does not have the admin role.' })
    }
    await next()
  }
}

/**
 * Whether this is a JWT that is valid here or may become so: a provider that sees it could call with it.
 * @throws {GatewayFault} where nobody knows.
 */
export async function isGoodJwt(jwt: JwtVerifier | null, text: string): Promise<boolean> {
  if (!jwt || !isJwtShaped(text)) return false
  const claims = await jwt.verify(text)
  if (!('reason' in claims)) return true
  if (claims.reason === 'keys_unavailable') throw keysUnavailable(claims.cause)
  // A key that is not known may be one that the issuer has since a moment ago.
  return claims.reason === 'not_yet_valid' || claims.reason === 'unknown_signing_key'
}

async function verifiedJwt(jwt: JwtVerifier | null, token: string): Promise<JwtClaims> {
  if (!jwt) throw unauthenticated('JWTs are not accepted here.')
  const claims = await jwt.verify(token)
  if (!('reason' in claims)) return claims
  if (claims.reason === 'keys_unavailable') throw keysUnavailable(claims.cause)
  throw unauthenticated(jwtFault(claims))
}

function keysUnavailable(cause: unknown): GatewayFault {
  const message = 'The keys that verify JWTs cannot be read at the moment.'
  return new GatewayFault({ code: 'keys_unavailable', message }, { cause })
}

function keyFault({ reason }: KeyRefusal): string {
  switch (reason) {
    case 'malformed':
      return 'The Tollgate key is incomplete or mistyped.'
    case 'unknown_version':
      return 'The Tollgate key is of a version that is not known here.'
    case 'bad_signature':
      return 'The Tollgate key is not valid.'
  }
}

function jwtFault(refusal: Exclude<JwtRefusal, { reason: 'keys_unavailable' }>): string {
  switch (refusal.reason) {
    case 'malformed':
      return 'The JWT cannot be read.'
    case 'wrong_algorithm':
      return 'The JWT is signed with an algorithm that is not accepted here.'
    case 'unknown_signing_key':
      return 'The JWT does not name one of the known signing keys (kid).'
    case 'bad_signature':
      return "The JWT's signature is not valid."
    case 'expired':
      return 'The JWT has expired.'
    case 'not_yet_valid':
      return 'The JWT is not valid yet (nbf).'
    case 'bad_claim':
      return `The JWT's claim "${refusal.claim}" is missing or not accepted here.`
  }
}

function unauthenticated(message: string): GatewayFault {
  return new GatewayFault({ code: 'unauthenticated', message })
}
