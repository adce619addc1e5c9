// Who changes a price, for its history. Pure.

import { decodeJwt } from 'jose'
import { isJwtShaped } from '../auth/jwt.ts'
import { storableText } from '../postgres/storable-text.ts'
import { readBearer } from '../providers/bearer.ts'

const MOST_CHARACTERS = 300

/** The subject of the admin's JWT, or that it was the admin token. Only for requests that `requireAdmin` let pass. */
export function authorOf(headers: Headers): string {
  const token = readBearer(headers)
  if (!token || !isJwtShaped(token)) return 'admin token'
  try {
    const { iss, sub } = decodeJwt(token)
    return storableText(`${iss} ${sub}`.slice(0, MOST_CHARACTERS))
  } catch {
    // An admin token may look like one.
    return 'admin token'
  }
}
