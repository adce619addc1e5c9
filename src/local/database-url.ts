// What can be known of a database from its URL alone. Pure.

import { createHash } from 'node:crypto'
import { endsWithinPassword } from '../postgres/connection-string.ts'
import { StartFault } from './start-fault.ts'

/** @throws {StartFault} for what is no URL of a Postgres. */
export function requirePostgresUrl(url: string): void {
  if (!/^postgres(ql)?:\/\//.test(url)) throw new StartFault('DATABASE_URL must start with postgresql://')
  // `pg` also takes a URL without a host, for a local server's socket; `URL` does not.
  const withHost = url.replace('@/', '@localhost/')
  if (!URL.canParse(withHost) || endsWithinPassword(new URL(withHost))) {
    throw new StartFault(
      'DATABASE_URL must be like postgresql://user:password@host/database, with special characters %-encoded',
    )
  }
}

/** Tells databases apart without revealing anything of the URL. Stays the same when the password changes. */
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
