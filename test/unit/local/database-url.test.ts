import { describe, expect, it } from 'vitest'
import { databaseFingerprint, requirePostgresUrl } from '../../../src/local/database-url.ts'
import { isNeonUrl } from '../../../src/postgres/connection-string.ts'

describe('a database URL', () => {
  it.each([
    'postgresql://u:p@host/db',
    'postgres://host/db',
    'postgresql:///db?host=/run/postgresql',
    'postgresql://u:p@/db?host=/run/postgresql',
    'postgresql://%2Frun%2Fpostgresql/db',
  ])('%s is one of Postgres', (url) => expect(() => requirePostgresUrl(url)).not.toThrow())
  it.each(['nonsense', 'mysql://x/y', '', 'host/postgresql://'])('%j is refused in one line', (url) =>
    expect(() => requirePostgresUrl(url)).toThrow(/^DATABASE_URL must start with postgresql:\/\/$/),
  )
  it.each([
    'u:S3#CRET@host/db',
    'u:S3/CRET@host/db',
    'u:S3?CRET@host/db',
    'u:S3CRET@host:port/db',
    'u:S3CRET@',
    'u:S3@CR/ET@host/db',
    'u:5432/CRET@host/db',
    'u:5432#CRET@host/db',
    'u:S3@CR?ET@host/db?sslmode=require',
    'u:5432?CRET@host/db',
  ])('%s is refused by name, and its password is not said', (rest) =>
    expect(() => requirePostgresUrl(`postgresql://${rest}`)).toThrow(
      /^DATABASE_URL must be like postgresql:\/\/user:password@host\/database, with special characters %-encoded$/,
    ),
  )

  it.each([
    ['postgresql://u:p@ep-cool-1.eu-central-1.aws.neon.tech/db?sslmode=require', true],
    ['postgresql://u:p@ep-cool-1.local.neon.build/db', true],
    ['postgresql://u:p@EP-COOL-1.eu-central-1.aws.NEON.tech/db', true],
    ['postgresql://u:p@ep-cool-1.neon.tech.example.com/db', false],
    ['postgresql://u:p@myneon.tech/db', false],
    ['postgresql://neon.tech@127.0.0.1:5432/db', false],
    ['postgresql://not a url', false],
  ])('%s is Neon’s: %s', (url, neon) => expect(isNeonUrl(url)).toBe(neon))

  it('keeps its fingerprint when the password changes, and only then', () => {
    const of = databaseFingerprint
    expect(of('postgresql://u:old@h/db')).toBe(of('postgresql://u:new@h/db'))
    expect(of('postgresql://u@h/db?password=old')).toBe(of('postgresql://u@h/db'))
    expect(of('postgresql://u:a%zz@h:x/db')).toBe(of('postgresql://u:b@h:x/db'))
    const others = ['postgresql://u@h/db', 'postgresql://v@h/db', 'postgresql://u@h:1/db', 'postgresql://u@h/other']
    expect(new Set(others.map(of)).size).toBe(4)
    expect(of('postgresql://u:p@h/db')).toMatch(/^[0-9a-f]{16}$/)
  })
})
