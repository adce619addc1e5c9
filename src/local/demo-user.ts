// A user to try things with, made over the admin API like any other.

export interface DemoUser {
  user_id: string
  key: string
}

const CAPS = [
  { cap_type: 'hourly', per: 'an hour', limits: { requests: 50 } },
  { cap_type: 'daily', per: 'a day', limits: { requests: 100, tokens: 200_000, cost_usd: 1 } },
]

/** `50 requests an hour; 100 requests, 200,000 tokens, $1 a day` */
export const DEMO_LIMITS = CAPS.map(({ per, limits }) => {
  const each = Object.entries(limits).map(([what, limit]) =>
    what === 'cost_usd' ? `$${limit}` : `${limit.toLocaleString('en')} ${what}`,
  )
  return `${each.join(', ')} ${per}`
}).join('; ')

export async function createDemoUser(url: string, adminToken: string): Promise<DemoUser> {
  const send = async (method: string, path: string, body?: unknown) => {
    const response = await call(url, path, adminToken, method, body)
    const text = await response.text()
    if (!response.ok) throw new Error(`${method} ${path} answered ${response.status}: ${text}`)
    return text === '' ? {} : JSON.parse(text)
  }
  const { id } = await send('POST', '/admin/users', { name: 'demo' })
  // A new user has copies of the default caps, which may have the same types as these.
  const { data } = await send('GET', `/admin/users/${id}/caps`)
  for (const cap of data) await send('DELETE', `/admin/users/${id}/caps/${cap.id}`)
  for (const { cap_type, limits } of CAPS) await send('POST', `/admin/users/${id}/caps`, { cap_type, limits })
  const { key } = await send('POST', `/admin/users/${id}/keys`, { name: 'demo' })
  return { user_id: String(id), key: String(key) }
}

/** Whether the user and its key still work: not where the database or the signing secret has changed since they were made. */
export async function isUsable(url: string, adminToken: string, { user_id, key }: DemoUser): Promise<boolean> {
  const user = await call(url, `/admin/users/${user_id}`, adminToken)
  const usage = await call(url, '/usage/caps/status', key)
  return user.status !== 404 && usage.status !== 401
}

function call(url: string, path: string, token: string, method = 'GET', body?: unknown): Promise<Response> {
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
  return fetch(url + path, { method, headers, ...(body !== undefined && { body: JSON.stringify(body) }) })
}
