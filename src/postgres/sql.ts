// Postgres as Neon's serverless driver reaches it: SQL over HTTP.

import { type NeonQueryFunction, neon, neonConfig } from '@neondatabase/serverless'

export interface DatabaseConfig {
  DATABASE_URL: string
  /** Where the database answers SQL over HTTP; unset for Neon, which the driver finds by itself. */
  DATABASE_HTTP_URL?: string | undefined
}

/** How long a statement may take, its way there and back included. */
const TIMEOUT_MS = 10_000

/** Makes a request, as `fetch` does. */
export type Via = (url: string, init: RequestInit) => Promise<Response>

interface FetchOptions {
  endpoint: string | undefined
  timeout_ms: number
  via: Via | undefined
}

// The driver knows one endpoint for the whole process. This one function serves every client: a client's own endpoint
// and timeout come along with each request. The body is read and parsed here, so that a timeout in it, and a body that is cut
// or is no JSON (a page of some proxy), are the driver's errors too.
neonConfig.fetchFunction = async (
  url: string,
  { endpoint, timeout_ms = TIMEOUT_MS, via = fetch, ...init }: RequestInit & Partial<FetchOptions>,
) => {
  // Not `AbortSignal.timeout`: its timer runs on after the answer, and with one a ledger cannot hibernate, which costs.
  const timeout = new AbortController()
  const timer = setTimeout(() => timeout.abort(new DOMException('no answer in time', 'TimeoutError')), timeout_ms)
  try {
    const response = await via(endpoint ?? url, { ...init, signal: timeout.signal })
    const { ok, status } = response
    const text = await response.text()
    // The driver takes the bodies of all other statuses as text.
    const json = ok || status === 400 ? JSON.parse(text) : null
    // The driver would take only the message: its error would say nothing.
    if (status === 400 && typeof json?.message !== 'string') throw new Error(`HTTP status 400: ${text}`)
    return { ok, status, json: () => json, text: () => text }
  } finally {
    clearTimeout(timer)
  }
}

/** The bare driver: tagged templates, `query` and `transaction([...])`. */
export function openSql(config: DatabaseConfig, timeout_ms = TIMEOUT_MS, via?: Via): NeonQueryFunction<false, false> {
  const fetchOptions: FetchOptions = { endpoint: config.DATABASE_HTTP_URL, timeout_ms, via }
  return neon(config.DATABASE_URL, { fetchOptions, disableWarningInBrowsers: true })
}
