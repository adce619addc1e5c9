// What can be known of a database from its URL alone. Pure.

import { createHash } from 'node:crypto'
import { endsWithinPassword } from '../postgres/connection-string.ts'
import { StartFault } from './start-fault.ts'

/** @throws {StartFault} for another database's URL, and for what is none. */
export function requirePostgresUrl(url: string): void {
  if (!/^postgres(ql)?:\/\//.test(url)) throw new StartFault('DATABASE_URL must start with postgresql://')
  // Without a host, which only `pg` reads, it is a local server's socket.
  const withHost = url.replace('@/', '@localhost/')
  if (!URL.canParse(withHost) || endsWithinPassword(new URL(withHost))) {
    throw new StartFault(
      'DATABASE_URL must be like postgresql://user:password@host/database, with special characters %-encoded',
    )
  }
}

/** Whether it answers SQL over HTTP by itself. */
export function isNeonUrl(url: string): boolean {
  return URL.canParse(url) && /\.neon\.(tech|build)$/i.test(new URL(url).hostname)
}

/** Tells databases apart and says nothing of them: the same after the password has changed. */
export function databaseFingerprint(url: string): string {
  return createHash('sha256').update(withoutPassword(url)).digest('hex').slice(0, 16)
}

function withoutPassword(url: string): string {
  if (!URL.canParse(url)) return url.replace(/:[^:@/]*@/, '@')
  const parsed = new URL(url)
  parsed.password = ''
  parsed.searchParams.delete('password')
  return parsed.href
}
