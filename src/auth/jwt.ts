// JWTs of the operator's identity provider. The user id is derived from `iss` and `sub`, so that no lookup is needed.
// I/O: only a JWKS, fetched and kept by jose. The algorithm decides the kind of key, never the other way round: HS256
// meets the shared secret alone, RS256 and ES256 meet public keys alone (RFC 8725, section 3.1).

import {
  createRemoteJWKSet,
  customFetch,
  decodeJwt,
  decodeProtectedHeader,
  errors,
  type JWTPayload,
  type JWTVerifyGetKey,
  jwtVerify,
} from 'jose'
import { v5 as uuidv5 } from 'uuid'
import type { Config } from '../config.ts'
import { sharedFetch } from './shared-fetch.ts'

/** Changing it would give every JWT user a new id. */
const USER_NAMESPACE = 'ac0da73e-375d-4674-80d7-f0d3ec9965f2'
const PUBLIC_KEY_ALGORITHMS = ['RS256', 'ES256']
const CLOCK_TOLERANCE_SECONDS = 5
/** A JWKS that could not be read is not fetched again for this long. */
const FAULT_REMEMBERED_MS = 1_000
const LEAST_RSA_BITS = 2_048
const MAX_TOKEN_LENGTH = 8_192
const MAX_SUBJECT_LENGTH = 255
const MAX_NAME_LENGTH = 200
const SHAPE = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/

export type JwtConfig = Pick<
  Config,
  'JWT_HS256_SECRET' | 'JWT_JWKS_URL' | 'JWT_ISSUER' | 'JWT_AUDIENCE' | 'JWT_ADMIN_ROLE'
>

export interface JwtClaims {
  /** UUIDv5 of issuer and subject. */
  user_id: string
  issuer: string
  subject: string
  /** For people to read: `name`, else `email`, else the subject. At most 200 characters. */
  name: string
  is_admin: boolean
}

export type JwtRefusal =
  | { reason: 'malformed' }
  | { reason: 'wrong_algorithm'; alg: string }
  /** No key, or more than one, fits the token's header. */
  | { reason: 'unknown_signing_key' }
  | { reason: 'bad_signature' }
  | { reason: 'expired' }
  | { reason: 'not_yet_valid' }
  | { reason: 'bad_claim'; claim: string }
  /** The JWKS cannot be read: nobody knows whether the token is good. */
  | { reason: 'keys_unavailable'; cause: unknown }

export interface JwtVerifier {
  /** @param now in milliseconds since the epoch; defaults to the clock. */
  verify(token: string, now?: number): Promise<JwtClaims | JwtRefusal>
}

/** Whether this looks like a JWT (three parts of base64url). An unsigned one has no third part and does not. */
export function isJwtShaped(text: string): boolean {
  return SHAPE.test(text)
}

/** Null where JWTs are not configured. `fetch` serves the JWKS. */
export function createJwtVerifier(config: JwtConfig, options: { fetch?: typeof fetch } = {}): JwtVerifier | null {
  const { JWT_HS256_SECRET: secret, JWT_JWKS_URL: jwksUrl, JWT_ISSUER: issuer, JWT_AUDIENCE: audience } = config
  if (!secret && !jwksUrl) return null
  if (!issuer) throw new TypeError('JWT_ISSUER is required where JWTs are accepted')
  const sharedSecret = secret ? new TextEncoder().encode(secret) : null
  const publicKeys = jwksUrl ? readPublicKeys(jwksUrl, options.fetch) : null

  return {
    async verify(token, now = Date.now()) {
      if (token.length > MAX_TOKEN_LENGTH || !isJwtShaped(token)) return { reason: 'malformed' }
      const alg = algorithmOf(token)
      if (alg === null) return { reason: 'malformed' }
      const checks = {
        issuer,
        ...(audience ? { audience } : {}),
        requiredClaims: ['exp'],
        clockTolerance: CLOCK_TOLERANCE_SECONDS,
        currentDate: new Date(now),
      }
      try {
        // Beside `x-tollgate-key` it may be a provider's, whatever key it is by: none is fetched for it.
        const { iss, aud } = decodeJwt(token)
        if (iss !== issuer) return { reason: 'bad_claim', claim: 'iss' }
        if (audience && ![aud].flat().includes(audience)) return { reason: 'bad_claim', claim: 'aud' }
        if (alg === 'HS256' && sharedSecret) {
          const { payload } = await jwtVerify(token, sharedSecret, { ...checks, algorithms: ['HS256'] })
          return claimsOf(payload, issuer, config.JWT_ADMIN_ROLE)
        }
        if (PUBLIC_KEY_ALGORITHMS.includes(alg) && publicKeys) {
          const { payload } = await jwtVerify(token, publicKeys, { ...checks, algorithms: PUBLIC_KEY_ALGORITHMS })
          return claimsOf(payload, issuer, config.JWT_ADMIN_ROLE)
        }
        return { reason: 'wrong_algorithm', alg }
      } catch (error) {
        return refusalOf(error)
      }
    },
  }
}

function algorithmOf(token: string): string | null {
  try {
    const { alg } = decodeProtectedHeader(token)
    return typeof alg === 'string' ? alg : null
  } catch (error) {
    if (error instanceof TypeError) return null
    throw error
  }
}

class KeysUnavailable extends Error {
  override readonly name = 'KeysUnavailable'
}

/**
 * jose's key set, with its own faults told apart from a token's. A fault is remembered, because jose would fetch again for
 * each token whose key it does not have. Keys that it has are still found.
 */
function readPublicKeys(url: string, fetchKeys: typeof fetch = fetch): JWTVerifyGetKey {
  let fault: unknown
  let failed_at = Number.NEGATIVE_INFINITY
  const isRemembered = () => Math.abs(Date.now() - failed_at) < FAULT_REMEMBERED_MS
  const fetchShared = sharedFetch(fetchKeys)
  const keys = createRemoteJWKSet(new URL(url), {
    [customFetch]: (...request) => (isRemembered() ? Promise.reject(fault) : fetchShared(...request)),
  })
  return async (header, token) => {
    try {
      const key = await keys(header, token)
      // Too short for RFC 7518, section 3.3: jose would throw a `TypeError`, as at a bug.
      if (isShortRsa(key)) throw new errors.JWKSNoMatchingKey()
      return key
    } catch (cause) {
      if (cause instanceof errors.JWKSNoMatchingKey || cause instanceof errors.JWKSMultipleMatchingKeys) throw cause
      if (!isRemembered()) [fault, failed_at] = [cause, Date.now()]
      throw new KeysUnavailable('the JWKS cannot be read', { cause })
    }
  }
}

const isShortRsa = ({ algorithm }: CryptoKey) =>
  'modulusLength' in algorithm && Number(algorithm.modulusLength) < LEAST_RSA_BITS

function claimsOf(payload: JWTPayload, issuer: string, adminRole: string): JwtClaims | JwtRefusal {
  const { sub: subject, name: own, email, role, roles } = payload
  if (!isPlainText(subject) || subject.length > MAX_SUBJECT_LENGTH) return { reason: 'bad_claim', claim: 'sub' }
  const name = [own, email].find(isPlainText) ?? subject
  return {
    user_id: uuidv5(`${issuer}\n${subject}`, USER_NAMESPACE),
    issuer,
    subject,
    name: name.slice(0, MAX_NAME_LENGTH).toWellFormed(),
    is_admin: [role, roles].flat().includes(adminRole),
  }
}

/** Text that UTF-8 and Postgres keep as it is: two subjects must never become one. */
function isPlainText(value: unknown): value is string {
  return typeof value === 'string' && value.trim() !== '' && value.isWellFormed() && !/\p{Cc}/u.test(value)
}

function refusalOf(error: unknown): JwtRefusal {
  if (error instanceof KeysUnavailable) return { reason: 'keys_unavailable', cause: error.cause }
  if (error instanceof errors.JWTExpired) return { reason: 'expired' }
  if (error instanceof errors.JWTClaimValidationFailed) {
    if (error.claim === 'nbf' && error.reason === 'check_failed') return { reason: 'not_yet_valid' }
    return { reason: 'bad_claim', claim: error.claim }
  }
  if (error instanceof errors.JWSSignatureVerificationFailed) return { reason: 'bad_signature' }
  if (error instanceof errors.JWKSNoMatchingKey || error instanceof errors.JWKSMultipleMatchingKeys)
    return { reason: 'unknown_signing_key' }
  if (error instanceof errors.JOSEError) return { reason: 'malformed' }
  throw error
}
