// The users that a run acts as and acts upon, what its requests have made, and what the words of a generated request
// (`@clay0`, `@at(/admin/users/:id)7`) stand for.

import { SignJWT } from 'jose'
import { statusOf } from '../support/books.ts'
import { ADMIN_TOKEN, type Gateway } from '../support/gateway.ts'
import type { Route } from './product.ts'
import type { FuzzRequest } from './requests.ts'

export const JWT_VARS = {
  JWT_HS256_SECRET: 'a-jwt-secret-for-the-fuzz-0123456789abcdef',
  JWT_ISSUER: 'https://fuzz.example',
}

type Caps = { cap_type: string; limits: Record<string, number> }[]
const AMPLE: Caps = [
  { cap_type: 'total', limits: { requests: 1_000_000_000, tokens: 1_000_000_000_000, cost_usd: 1_000_000 } },
  { cap_type: 'daily', limits: { requests: 1_000_000_000 } },
]
/** Calls that nothing bounds are admitted where neither tokens nor cost are capped. */
const COUNTED: Caps = [{ cap_type: 'total', limits: { requests: 1_000_000_000 } }]
const SCANT = { requests: 100, tokens: 3_000, cost_cents: 2 }

interface Made {
  path: string
  /** True for what no request may delete. */
  stays: boolean
  /** True where its call goes on after its answer: if it were deleted, nobody could ask how that ended. */
  goes_on: boolean
}

interface GoingOn {
  path: string
  /** The credentials of whoever began it. */
  headers: [string, string][]
}

export interface Pool {
  /** `caller0.secret` -> its key. */
  words: Map<string, string>
  /** Users whose caps nobody changes, so that their limits can be checked. */
  stable: string[]
  /** Users that requests change. */
  clay: string[]
  /** `/openai/v1/files/:id` -> what is there, by its path. */
  made: Map<string, Map<string, Made>>
  /** `POST /openai/v1/files` -> `/openai/v1/files/:id` */
  makers: Map<string, string>
  /** All calls that went on after their answer. */
  going_on: GoingOn[]
}

const SPARES = 20
const MOST_MADE = 60

/** Makes the users: requests change `clay`, may delete `spare`, and use up the caps of `poor`. */
export async function fillPool({ admin }: Gateway, routes: Route[]): Promise<Pool> {
  const words = new Map([
    ['admin', ADMIN_TOKEN],
    ['jwt', await signed(JWT_VARS.JWT_HS256_SECRET)],
    ['badjwt', await signed('another-secret-that-the-gateway-does-not-know')],
  ])
  const pool: Pool = { words, stable: [], clay: [], made: new Map(), makers: makersOf(routes), going_on: [] }
  const add = async (name: string, caps: Caps) => {
    const { id, key } = await admin.user(caps)
    words.set(name, id).set(`${name}.secret`, key)
    return id
  }
  for (let n = 0; n < 4; n++) pool.stable.push(await add(`caller${n}`, AMPLE), await add(`counted${n}`, COUNTED))
  pool.stable.push(await add('poor0', [{ cap_type: 'total', limits: SCANT }]))
  for (let n = 0; n < 6; n++) {
    const id = await add(`clay${n}`, AMPLE)
    pool.clay.push(id)
    keep(pool, '/admin/users/:id', `/admin/users/${id}`, { stays: true })
    const key = await admin.call<{ id: string }>('POST', `/admin/users/${id}/keys`, { name: 'to be changed' })
    keep(pool, '/admin/users/:id/keys/:key_id', `/admin/users/${id}/keys/${key.id}`)
    const monthly = { cap_type: 'monthly', limits: { requests: 1_000_000_000 } }
    const cap = await admin.call<{ id: string }>('POST', `/admin/users/${id}/caps`, monthly)
    // Half of them, as requests make few that another might change before it is deleted.
    keep(pool, '/admin/users/:id/caps/:cap_id', `/admin/users/${id}/caps/${cap.id}`, { stays: n % 2 === 0 })
  }
  for (let n = 0; n < SPARES; n++) {
    const { id } = await admin.call<{ id: string }>('POST', '/admin/users', { name: 'spare' })
    keep(pool, '/admin/users/:id', `/admin/users/${id}`)
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

/** A POST makes what is at the routes one segment below it. */
function makersOf(routes: Route[]): Map<string, string> {
  const posts = new Set(routes.filter(({ method }) => method === 'POST').map(({ path }) => path))
  const prefixes = routes.flatMap(({ path }) => /^.*\/:\w+/.exec(path)?.[0] ?? [])
  const made = prefixes.filter((prefix) => posts.has(prefix.replace(/\/:\w+$/, '')))
  return new Map(made.map((prefix) => [`POST ${prefix.replace(/\/:\w+$/, '')}`, prefix]))
}

function keep(pool: Pool, prefix: string, path: string, more: Partial<Made> = {}): void {
  const there = pool.made.get(prefix) ?? new Map<string, Made>()
  pool.made.set(prefix, there.set(path, { path, stays: false, goes_on: false, ...more }))
  const oldest = [...there.values()].find(({ stays }) => !stays)
  if (there.size > MOST_MADE && oldest) there.delete(oldest.path)
}

/** The request with ids and secrets in place of words. What it deletes leaves the pool. */
export function resolved(request: FuzzRequest, { words, made }: Pool): FuzzRequest {
  const filled = (text: string) => text.replace(/@([a-z]+\d*(?:\.secret)?)/g, (word, name) => words.get(name) ?? word)
  const path = request.path.replace(/@at\(([^)]*)\)(\d+)/g, (_, prefix: string, n: string) => {
    const there = made.get(prefix) ?? new Map<string, Made>()
    const deletes = request.method === 'DELETE'
    const fit = [...there.values()].filter(({ stays, goes_on }) => !deletes || !(stays || goes_on))
    const one = fit[Number(n) % fit.length]
    if (one && deletes) there.delete(one.path)
    return one?.path ?? prefix.replaceAll(/:\w+/g, 'none')
  })
  return {
    ...request,
    path: filled(path),
    headers: request.headers.map(([name, value]) => [name, filled(value)]),
    body: request.body === null ? null : filled(request.body),
  }
}

const CREDENTIALS = /^(authorization|.*-key|anthropic-version)$/

/** Keeps what a 2xx has made. Responses of the one endpoint are kept as OpenAI's. */
export function learn(pool: Pool, request: FuzzRequest, text: string): void {
  const { route, method, headers } = request
  const [path = '', query = ''] = request.path.split('?')
  const answer = asObject(text)
  if (typeof answer?.id !== 'string') return
  const goes_on = /^(queued|in_progress|validating)$/.test(String(answer.processing_status ?? answer.status))
  const prefix = pool.makers.get(route.replace('POST /v1/responses', 'POST /openai/v1/responses'))
  if (prefix && method === 'POST') {
    const here = `${path.replace(/^(?=\/v1\/responses$)/, '/openai')}/${answer.id}`
    // The fake provider forgets no batch of messages.
    keep(pool, prefix, here, { goes_on: goes_on && !here.startsWith('/anthropic/') })
    const credentials = headers.filter(([name]) => CREDENTIALS.test(name))
    if (goes_on) pool.going_on.push({ path: here + (query && `?${query}`), headers: credentials })
  }
}

function asObject(text: string): { [name: string]: unknown } | null {
  try {
    return Object(JSON.parse(text))
  } catch {
    return null
  }
}

/**
 * Opens every cap and key again and asks for all calls that went on, so that none is held any more: whoever has spent a cap
 * of requests cannot ask.
 */
export async function conclude(gateway: Gateway, pool: Pool, callers: string[]): Promise<void> {
  const { admin, url } = gateway
  const poor = pool.words.get('poor0') ?? ''
  const [spent] = (await statusOf(gateway, poor)).data
  if (!spent || spent.current_usage.requests > SCANT.requests)
    throw new Error(`A cap was exceeded: ${JSON.stringify(spent)}`)
  // The fake bills a token for each byte that it is sent, so that a call may have brought a cap of cost above its limit.
  const limits = { requests: 1e9, tokens: 1e12, cost_cents: 1e8 }
  await admin.call('PATCH', `/admin/users/${poor}/caps/${spent.id}`, { limits })
  for (const id of pool.clay) await admin.call('POST', `/admin/users/${id}/activate`)
  for (const id of callers.filter((id) => !pool.stable.includes(id))) {
    const { data } = await admin.call<{ data: { id: string }[] }>('GET', `/admin/users/${id}/caps`)
    for (const cap of data) await admin.call('PATCH', `/admin/users/${id}/caps/${cap.id}`, { limits })
  }
  for (const { path, headers } of pool.going_on) {
    for (const suffix of path.startsWith('/anthropic/') ? ['', '/results'] : ['', '', ''])
      await (await fetch(url + path.replace(/(?=\?|$)/, suffix), { headers })).arrayBuffer()
  }
}
