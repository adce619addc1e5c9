// Gateway keys: signed, so that a made-up key is refused before any ledger or database hears of it. Pure but for Web
// Crypto: no I/O, no clock. Whether a key is still active is the ledger's to say.
//
//   tg_ base64url( version 1 | user id 16 | key id 16 | HMAC-SHA-256("tg_" | all before) truncated to 20 )

import { base64url } from 'jose'
import { parse, stringify } from 'uuid'

export const KEY_PREFIX = 'tg_'
const VERSION = 1
const SIGNED_BYTES = 1 + 16 + 16
const SIGNATURE_BYTES = 20
/** 53 bytes are 71 characters of base64url. */
const SHAPE = /^tg_[A-Za-z0-9_-]{71}$/
/** Alone or behind `Bearer `, `key=` or a quotation mark, but not within a longer id or a JWT. */
const WITHIN = /(^|[^\w.-])tg_[\w-]{71}/
/** How many verified keys are remembered: their signatures will not change. */
const MAX_REMEMBERED = 1_000
const PREFIX_BYTES = new TextEncoder().encode(KEY_PREFIX)

export interface KeyClaims {
  user_id: string
  key_id: string
}

export type KeyRefusal =
  | { reason: 'malformed' }
  | { reason: 'unknown_version'; version: number }
  | { reason: 'bad_signature' }

export interface KeyRing {
  /**
   * The key of this user and key id, signed with the newest secret. Nothing else can make it, and it can be made again.
   *
   * @throws {TypeError} where an id is not a UUID.
   */
  issue(userId: string, keyId: string): Promise<string>
  /** Whose key this is. Only the signature is checked. */
  verify(key: string): Promise<KeyClaims | KeyRefusal>
}

/** Whether the text contains a whole key. */
export const holdsKey = (text: string) => WITHIN.test(text)

/** `new,old`, as the variable `KEY_SIGNING_SECRETS` holds them. */
export const secretsIn = (list: string) => list.split(',').map((secret) => secret.trim())

/** @param secrets the newest first: it signs, all verify. */
export function createKeyRing(secrets: string[]): KeyRing {
  if (secrets.length === 0 || secrets.includes('')) throw new TypeError('a key ring needs secrets')
  let imported: CryptoKey[] | null = null
  const verified = new Map<string, KeyClaims>()

  // What is kept is the keys, not the promise of them: a promise would belong to the request that made it.
  async function hmacKeys(): Promise<CryptoKey[]> {
    imported ??= await Promise.all(secrets.map(importSecret))
    return imported
  }

  return {
    async issue(userId, keyId) {
      const bytes = new Uint8Array(SIGNED_BYTES + SIGNATURE_BYTES)
      bytes[0] = VERSION
      bytes.set(parse(userId), 1)
      bytes.set(parse(keyId), 17)
      const [newest] = await hmacKeys()
      if (!newest) throw new TypeError('a key ring needs secrets')
      bytes.set(await sign(newest, bytes.subarray(0, SIGNED_BYTES)), SIGNED_BYTES)
      return KEY_PREFIX + base64url.encode(bytes)
    },

    async verify(key) {
      const known = verified.get(key)
      if (known) return known
      if (!SHAPE.test(key)) return { reason: 'malformed' }
      const encoded = key.slice(KEY_PREFIX.length)
      const bytes = base64url.decode(encoded)
      // The last character has two bits to spare: one key must not have four spellings.
      if (base64url.encode(bytes) !== encoded) return { reason: 'malformed' }
      const version = bytes[0] ?? 0
      if (version !== VERSION) return { reason: 'unknown_version', version }
      const signed = bytes.subarray(0, SIGNED_BYTES)
      const signature = bytes.subarray(SIGNED_BYTES)
      let genuine = false
      for (const secret of await hmacKeys()) {
        if (equalInConstantTime(await sign(secret, signed), signature)) genuine = true
      }
      if (!genuine) return { reason: 'bad_signature' }
      const claims = { user_id: stringify(signed, 1), key_id: stringify(signed, 17) }
      if (verified.size >= MAX_REMEMBERED) verified.clear()
      verified.set(key, claims)
      return claims
    },
  }
}

function importSecret(secret: string): Promise<CryptoKey> {
  const algorithm = { name: 'HMAC', hash: 'SHA-256' }
  return crypto.subtle.importKey('raw', new TextEncoder().encode(secret), algorithm, false, ['sign'])
}

async function sign(secret: CryptoKey, signed: Uint8Array): Promise<Uint8Array> {
  const message = new Uint8Array(PREFIX_BYTES.length + signed.length)
  message.set(PREFIX_BYTES)
  message.set(signed, PREFIX_BYTES.length)
  return new Uint8Array(await crypto.subtle.sign('HMAC', secret, message)).subarray(0, SIGNATURE_BYTES)
}

function equalInConstantTime(a: Uint8Array, b: Uint8Array): boolean {
  let difference = a.length ^ b.length
  for (let i = 0; i < a.length; i++) difference |= (a[i] ?? 0) ^ (b[i] ?? 0)
  return difference === 0
}
