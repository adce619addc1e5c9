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
  const post = async (path: string, body: unknown): Promise<Record<string, unknown>> => {
    const response = await call(url, path, adminToken, body)
    const text = await response.text()
    if (!response.ok) throw new Error(`POST ${path} answered ${response.status}: ${text}`)
    return JSON.parse(text)
  }
  const { id } = await post('/admin/users', { name: 'demo' })
  for (const { cap_type, limits } of CAPS) await post(`/admin/users/${id}/caps`, { cap_type, limits })
  const { key } = await post(`/admin/users/${id}/keys`, { name: 'demo' })
  return { user_id: String(id), key: String(key) }
}

/** False where the database or the signing secret has changed since the user was made. */
export async function isUsable(url: string, adminToken: string, { user_id, key }: DemoUser): Promise<boolean> {
  const user = await call(url, `/admin/users/${user_id}`, adminToken)
  const usage = await call(url, '/usage/caps/status', key)
  return user.status !== 404 && usage.status !== 401
}

function call(url: string, path: string, token: string, body?: unknown): Promise<Response> {
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
  return fetch(url + path, body === undefined ? { headers } : { method: 'POST', headers, body: JSON.stringify(body) })
}
