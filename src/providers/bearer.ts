// The credential of a request: of its `Authorization: Bearer` header (RFC 6750), or of its query. Pure.

export function readBearer(headers: Headers): string | null {
  return /^bearer +(.+)$/i.exec(headers.get('authorization') ?? '')?.[1] ?? null
}

/** The credential in the header or the query. Different ones are joined, as repeated headers are: no valid credential. */
export function withQuery(inHeader: string | null, url: string, parameter: string): string | null {
  const inQuery = url.includes('?') ? (URL.parse(url)?.searchParams.getAll(parameter) ?? []) : []
  return [...new Set([inHeader, ...inQuery].filter(Boolean))].join(', ') || null
}
