// A user to try things with, made over the admin API like any other.

export interface DemoUser {
  user_id: string
  key: string
}

const CAPS = [
  { cap_type: 'daily', limits: { requests: 100, tokens: 200_000, cost_cents: 100 } },
  { cap_type: 'hourly', limits: { requests: 50 } },
]

export async function createDemoUser(url: string, adminToken: string): Promise<DemoUser> {
  const post = async (path: string, body: unknown): Promise<Record<string, unknown>> => {
    const response = await call(url, path, adminToken, body)
    const text = await response.text()
    if (!response.ok) throw new Error(`POST ${path} answered ${response.status}: ${text}`)
    return JSON.parse(text)
  }
  const { id } = await post('/admin/users', { name: 'demo' })
  for (const cap of CAPS) await post(`/admin/users/${id}/caps`, cap)
  const { key } = await post(`/admin/users/${id}/keys`, { name: 'demo' })
  return { user_id: String(id), key: String(key) }
}

/** False where the database or the signing secret is another one than when the user was made. */
export async function isUsable(url: string, adminToken: string, { user_id, key }: DemoUser): Promise<boolean> {
  const user = await call(url, `/admin/users/${user_id}`, adminToken)
  const usage = await call(url, '/usage/caps/status', key)
  return user.status !== 404 && usage.status !== 401
}

function call(url: string, path: string, token: string, body?: unknown): Promise<Response> {
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
  return fetch(url + path, body === undefined ? { headers } : { method: 'POST', headers, body: JSON.stringify(body) })
}
