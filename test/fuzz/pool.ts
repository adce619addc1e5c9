// The users that a run acts as and acts upon, and what the words of a generated request (`@clay0.cap`) stand for.

import { SignJWT } from 'jose'
import { ADMIN_TOKEN, type Gateway } from '../support/gateway.ts'
import type { FuzzRequest } from './requests.ts'

export const JWT_VARS = {
  JWT_HS256_SECRET: 'a-jwt-secret-for-the-fuzz-0123456789abcdef',
  JWT_ISSUER: 'https://fuzz.example',
}

const AMPLE = [
  { cap_type: 'total', limits: { requests: 1_000_000_000, tokens: 1_000_000_000_000, cost_usd: 1_000_000 } },
  { cap_type: 'daily', limits: { requests: 1_000_000_000 } },
]
const SCANT = [{ cap_type: 'total', limits: { requests: 100, tokens: 3_000, cost_cents: 2 } }]

export interface Pool {
  /** `caller0.secret` -> its key. */
  words: Map<string, string>
  /** Those whose caps nobody changes, so that their limits can be held against them. */
  stable: string[]
  /** Those that requests change: they may have used more than a limit that was set afterwards. */
  clay: string[]
}

/** `caller`: ample caps. `poor`: caps that run out. `clay`: to be changed by requests. `spare`: to be deleted. */
export async function fillPool({ admin }: Gateway, spares: number): Promise<Pool> {
  const words = new Map([
    ['admin', ADMIN_TOKEN],
    ['jwt', await signed(JWT_VARS.JWT_HS256_SECRET)],
    ['badjwt', await signed('another-secret-that-the-gateway-does-not-know')],
  ])
  const pool: Pool = { words, stable: [], clay: [] }
  const add = async (name: string, caps: typeof AMPLE | typeof SCANT) => {
    const { id, key } = await admin.user(caps)
    words.set(name, id).set(`${name}.secret`, key)
    return id
  }
  for (let n = 0; n < 6; n++) pool.stable.push(await add(`caller${n}`, AMPLE))
  for (let n = 0; n < 2; n++) pool.stable.push(await add(`poor${n}`, SCANT))
  for (let n = 0; n < 6; n++) {
    const id = await add(`clay${n}`, AMPLE)
    const key = await admin.call<{ id: string }>('POST', `/admin/users/${id}/keys`, { name: 'to be changed' })
    const cap = await admin.call<{ id: string }>('POST', `/admin/users/${id}/caps`, {
      cap_type: 'monthly',
      limits: { tokens: 1_000_000_000 },
    })
    words.set(`clay${n}.key`, key.id).set(`clay${n}.cap`, cap.id)
    pool.clay.push(id)
  }
  for (let n = 0; n < spares; n++) {
    const { id } = await admin.call<{ id: string }>('POST', '/admin/users', { name: 'spare' })
    words.set(`spare${n}`, id)
  }
  const { next_cursor } = await admin.call<{ next_cursor: string }>('GET', '/admin/users?limit=1')
  words.set('cursor', next_cursor)
  return pool
}

const signed = (secret: string) =>
  new SignJWT({})
    .setProtectedHeader({ alg: 'HS256' })
    .setIssuer(JWT_VARS.JWT_ISSUER)
    .setSubject('fuzzer')
    .setExpirationTime('1h')
    .sign(new TextEncoder().encode(secret))

/** With ids and secrets for words; a spare is spent once. */
export function resolved(request: FuzzRequest, { words }: Pool): FuzzRequest {
  const spares = [...words.keys()].filter((word) => word.startsWith('spare')).length
  const filled = (text: string) =>
    text
      .replace(/@spare(\d+)/g, (_, n) => words.get(`spare${Number(n) % spares}`) ?? '')
      .replace(/@([a-z]+\d*(?:\.(?:secret|key|cap))?)/g, (word, name) => words.get(name) ?? word)
  return {
    ...request,
    path: filled(request.path),
    headers: request.headers.map(([name, value]) => [name, filled(value)]),
    body: request.body === null ? null : filled(request.body),
  }
}

/** The newest key and cap of a `clay` take the place of those that a request may have revoked or deleted. */
export function learn(pool: Pool, { route }: FuzzRequest, text: string): void {
  const kind = /^POST .*(?<=\/:user\/)(key|cap)s$/.exec(route)?.[1]
  if (!kind) return
  const { id, user_id } = JSON.parse(text)
  const n = pool.clay.indexOf(user_id)
  if (n >= 0) pool.words.set(`clay${n}.${kind}`, id)
}
