import { expect, test } from 'vitest'
import { authorOf } from '../../../src/admin/prices-author.ts'

const bearer = (claims: object) => {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
  return new Headers({ authorization: `Bearer ${part({ alg: 'HS256' })}.${part(claims)}.AAAA` })
}

test('the author is who the JWT says', () => {
  expect(authorOf(bearer({ iss: 'https://id.example', sub: 'ada' }))).toBe('https://id.example ada')
  for (const token of ['an-admin-token', 'an.admin.token'])
    expect(authorOf(new Headers({ authorization: `Bearer ${token}` }))).toBe('admin token')
})

test('a name that is cut within a character can still be stored', () => {
  const author = authorOf(bearer({ iss: 'i'.repeat(64), sub: `${'a'.repeat(234)}😀` }))
  expect(author).toHaveLength(300)
  expect(author.isWellFormed()).toBe(true)
})
