// Who changes a price, for its history. Pure.

import { decodeJwt } from 'jose'
import { storableText } from '../postgres/storable-text.ts'
import { readBearer } from '../providers/bearer.ts'

const MOST_CHARACTERS = 300

/** The subject of the admin's JWT, or `admin token`. Only for requests that `requireAdmin` has let pass. */
export function authorOf(headers: Headers): string {
  try {
    const { iss, sub } = decodeJwt(readBearer(headers) ?? '')
    return storableText(`${iss} ${sub}`.slice(0, MOST_CHARACTERS))
  } catch {
    // The admin token is no JWT, even where it looks like one.
    return 'admin token'
  }
}
