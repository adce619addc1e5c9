// A provider's error, and headers of any answer, may repeat the key that it was sent, which is the operator's: AWS's do so, and
// so do servers that tell which key they do not know. Pure.

import { concatBytes } from '../providers/bytes.ts'
import type { StreamFilter } from '../providers/dialect.ts'

/** What is shorter is no secret (such as `ollama`, for a server that asks for none), and may be a word of the error. */
const SHORTEST = 7
const ASTERISK = 0x2a

/**
 * Writes asterisks over it; over each part of one with colons, which is how AWS's keys are kept. What may be its beginning waits
 * for what follows.
 */
export function hideCredential(credential: string): StreamFilter {
  const secrets = secretsIn(credential).map((secret) => new TextEncoder().encode(secret))
  let kept = new Uint8Array()
  return {
    push(chunk) {
      const bytes = concatBytes([kept, chunk])
      let end = bytes.length
      for (const secret of secrets) {
        const [first = 0] = secret
        for (let at = bytes.indexOf(first); at !== -1; at = bytes.indexOf(first, at + 1)) {
          if (!agree(bytes, at, secret)) continue
          if (at + secret.length > bytes.length) end = Math.min(end, at)
          else bytes.fill(ASTERISK, at, at + secret.length)
        }
      }
      kept = bytes.slice(end)
      return bytes.subarray(0, end)
    },
    end: () => kept,
  }
}

/** The same in headers, which come whole. */
export function hideInHeaders(headers: Headers, credential: string): void {
  for (const secret of secretsIn(credential))
    for (const [name, value] of [...headers])
      if (value.includes(secret)) headers.set(name, value.replaceAll(secret, '*'.repeat(secret.length)))
}

const secretsIn = (credential: string) => credential.split(':').filter(({ length }) => length >= SHORTEST)

/** Whether the bytes from there on are the secret, or its beginning where they end. */
function agree(bytes: Uint8Array, from: number, secret: Uint8Array): boolean {
  const length = Math.min(secret.length, bytes.length - from)
  for (let at = 0; at < length; at++) if (bytes[from + at] !== secret[at]) return false
  return true
}
