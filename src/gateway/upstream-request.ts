// The request to the provider: its credential on, and of the client's headers only those that the dialect lets through. Pure.
// The host comes from configuration and from nowhere else.

import type { Dialect } from '../providers/dialect.ts'

export interface UpstreamRequest {
  base_url: string
  /** Path and query below the provider's prefix. */
  target: string
  method: string
  body: Uint8Array | null
  /** See `forwardedOf`. */
  headers: [name: string, value: string][]
  credential: string
}

export interface Outgoing {
  url: string
  init: RequestInit
}

export function upstreamRequest(dialect: Dialect, call: UpstreamRequest): Outgoing {
  const { base_url, target, method, body, credential } = call
  const headers = new Headers(call.headers)
  // Read as JSON it is sent as JSON.
  if (body && !headers.has('content-type')) headers.set('content-type', 'application/json')
  // What is metered must not be compressed.
  headers.set('accept-encoding', 'identity')
  dialect.setCredential(headers, credential)
  // A redirect would take the credential to a host that nobody configured.
  const init: RequestInit = { method, headers, body: body as BodyInit | null, redirect: 'manual' }
  // Cloudflare's cache is before `fetch`. By default it keeps the answer to a GET of `7.png`, say, and gives it to any credential:
  // https://developers.cloudflare.com/workers/reference/how-the-cache-works/#fetch
  if (body === null) init.cache = 'no-store'
  return { url: base_url + target, init }
}

/** Those headers of the client that reach the provider. */
export function forwardedOf(
  dialect: Dialect,
  client_headers: [name: string, value: string][],
  brings_own_key: boolean,
): [name: string, value: string][] {
  const forwarded = [...dialect.forwarded_headers, ...(brings_own_key ? dialect.own_key_headers : [])]
  return client_headers.filter(([name]) => forwarded.some((pattern) => matches(pattern, name)))
}

function matches(pattern: string, name: string): boolean {
  return pattern.endsWith('*') ? name.startsWith(pattern.slice(0, -1)) : name === pattern
}
