import fc from 'fast-check'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { createKeyRing, secretsIn } from '../../../src/auth/keys.ts'

const SECRET = 'a-signing-secret-of-enough-characters'
const USER = '0198f3b2-7c1a-7d10-8a11-0123456789ab'
const KEY = '0198f3b2-7c1a-7d10-8a11-fedcba987654'
const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
const ring = createKeyRing([SECRET])

const bytesOf = (key: string) => Buffer.from(key.slice(3), 'base64url')
const keyOf = (bytes: Uint8Array) => `tg_${Buffer.from(bytes).toString('base64url')}`

describe('keys', () => {
  test('a key that was issued says whose it is, whatever the ids', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uuid(), fc.uuid(), async (userId, keyId) => {
        const key = await ring.issue(userId, keyId)
        expect(key).toMatch(/^tg_[A-Za-z0-9_-]{71}$/)
        expect(await ring.verify(key)).toEqual({ user_id: userId, key_id: keyId })
      }),
    )
  })

  test('the format stays: version, user id, key id, signature over the prefix too', async () => {
    const bytes = bytesOf(await ring.issue(USER, KEY))
    const signed = Buffer.from(`01${USER}${KEY}`.replaceAll('-', ''), 'hex')
    const hmac = await crypto.subtle.importKey('raw', Buffer.from(SECRET), { name: 'HMAC', hash: 'SHA-256' }, false, [
      'sign',
    ])
    const signature = await crypto.subtle.sign('HMAC', hmac, Buffer.concat([Buffer.from('tg_'), signed]))
    expect(bytes).toEqual(Buffer.concat([signed, Buffer.from(signature).subarray(0, 20)]))
  })

  test('ids are one spelling: upper case comes back as lower case', async () => {
    const key = await ring.issue(USER.toUpperCase(), KEY)
    expect(key).toBe(await ring.issue(USER, KEY))
  })

  test('an id that is no UUID is a bug, not a key', async () => {
    await expect(ring.issue('alice', KEY)).rejects.toThrow(TypeError)
  })

  test('every single bit counts', async () => {
    const bytes = bytesOf(await ring.issue(USER, KEY))
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const flipped = Buffer.from(bytes)
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      const reason = bit < 8 ? 'unknown_version' : 'bad_signature'
      expect([bit, await ring.verify(keyOf(flipped))]).toMatchObject([bit, { reason }])
    }
  })

  test('every other character in every place is refused: one key has one spelling', async () => {
    const key = await ring.issue(USER, KEY)
    for (let i = 3; i < key.length; i++) {
      const others = i === key.length - 1 ? [...ALPHABET] : [...'Aa0-_']
      for (const other of others.filter((character) => character !== key[i]))
        expect(await ring.verify(key.slice(0, i) + other + key.slice(i + 1))).toHaveProperty('reason')
    }
  })

  test('truncated, extended, padded and re-encoded keys are malformed', async () => {
    const key = await ring.issue(USER, KEY)
    const standard = `tg_${bytesOf(key).toString('base64')}`
    const wrong = [
      '',
      'tg_',
      key.slice(3),
      `${key}A`,
      `${key}=`,
      `${key}\n`,
      ` ${key}`,
      `tg_${key}`,
      `TG_${key.slice(3)}`,
    ]
    wrong.push(standard, keyOf(bytesOf(key).subarray(0, 52)), keyOf(Buffer.concat([bytesOf(key), Buffer.alloc(3)])))
    for (let length = 0; length < key.length; length++) wrong.push(key.slice(0, length))
    for (const text of wrong) expect([text, await ring.verify(text)]).toEqual([text, { reason: 'malformed' }])
  })

  test('a key of a later version is said to be one', async () => {
    const bytes = bytesOf(await ring.issue(USER, KEY))
    bytes[0] = 2
    expect(await ring.verify(keyOf(bytes))).toEqual({ reason: 'unknown_version', version: 2 })
  })

  test('a foreign secret signs nothing, and a signature fits no other user', async () => {
    const foreign = await createKeyRing(['another-secret-of-enough-characters!']).issue(USER, KEY)
    expect(await ring.verify(foreign)).toEqual({ reason: 'bad_signature' })
    const mine = bytesOf(await ring.issue(USER, KEY))
    bytesOf(await ring.issue(KEY, USER)).copy(mine, 33, 33)
    expect(await ring.verify(keyOf(mine))).toEqual({ reason: 'bad_signature' })
    expect(await ring.verify(keyOf(Buffer.concat([mine.subarray(0, 33), Buffer.alloc(20)])))).toEqual({
      reason: 'bad_signature',
    })
  })

  test('secrets rotate: the newest signs, all verify, a dropped one no longer does', async () => {
    const newer = 'a-newer-secret-of-enough-characters!!'
    const rotated = createKeyRing([newer, 'one-between-of-enough-characters!!!!', SECRET])
    const old = await ring.issue(USER, KEY)
    expect(await rotated.verify(old)).toEqual({ user_id: USER, key_id: KEY })
    const fresh = await rotated.issue(USER, KEY)
    expect(await createKeyRing([newer]).verify(fresh)).toEqual({ user_id: USER, key_id: KEY })
    expect(await ring.verify(fresh)).toEqual({ reason: 'bad_signature' })
    expect(await createKeyRing([newer]).verify(old)).toEqual({ reason: 'bad_signature' })
  })

  test('a key that was verified vouches for no other, however little differs', async () => {
    const key = await ring.issue(USER, KEY)
    expect(await ring.verify(key)).toEqual({ user_id: USER, key_id: KEY })
    for (const at of [33, 52]) {
      const other = bytesOf(key)
      other[at] = (other[at] ?? 0) ^ 1
      expect(await ring.verify(keyOf(other))).toEqual({ reason: 'bad_signature' })
    }
  })

  test('keys are remembered, so that their signature is made once, but no more than a thousand', async () => {
    const sign = vi.spyOn(crypto.subtle, 'sign')
    onTestFinished(() => sign.mockRestore())
    const own = createKeyRing([SECRET])
    const others = await Promise.all(Array.from({ length: 1_000 }, () => ring.issue(USER, crypto.randomUUID())))
    const key = await ring.issue(USER, KEY)
    const signedFor = async (...keys: string[]) => {
      sign.mockClear()
      for (const one of keys) expect(await own.verify(one)).toMatchObject({ user_id: USER })
      return sign.mock.calls.length
    }
    expect(await signedFor(key, ...others.slice(1))).toBe(1_000)
    expect(await signedFor(key, ...others.slice(1))).toBe(0)
    expect(await signedFor(...others.slice(0, 1), key)).toBe(2)
  })

  test('a variable holds the newest secret first, with commas between them', () => {
    expect(secretsIn(`newer, ${SECRET}`)).toEqual(['newer', SECRET])
  })

  test('a ring without secrets is a bug', () => {
    expect(() => createKeyRing([])).toThrow(TypeError)
    expect(() => createKeyRing([''])).toThrow(TypeError)
  })
})
