// The credential of an `Authorization: Bearer` header (RFC 6750). Pure.

export function readBearer(headers: Headers): string | null {
  return /^bearer +(.+)$/i.exec(headers.get('authorization') ?? '')?.[1] ?? null
}
