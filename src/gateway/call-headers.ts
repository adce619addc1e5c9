// What callers may say of a call in `x-tollgate-*` headers. It ends in usage events and nowhere else. Pure.

import type { EventDraft } from '../../durable-objects/ledger/types.ts'
import { GATEWAY_KEY_HEADER } from '../auth/credential.ts'
import { holdsKey } from '../auth/keys.ts'
import type { GatewayError } from '../errors.ts'
import { isStorableText } from '../postgres/storable-text.ts'
import { isObject, parseJsonOrUndefined } from '../providers/answer.ts'
import { repeatedName } from '../providers/json-text.ts'

const PREFIX = 'x-tollgate-'
const JOB_ID_HEADER = 'x-tollgate-job-id'
const BATCH_ID_HEADER = 'x-tollgate-batch-id'
const SESSION_ID_HEADER = 'x-tollgate-session-id'
const METADATA_HEADER = 'x-tollgate-metadata'
/** Every other `x-tollgate-*` header of a request is refused, so that a mistyped one is not silently lost. */
const KNOWN_HEADERS = [GATEWAY_KEY_HEADER, JOB_ID_HEADER, BATCH_ID_HEADER, SESSION_ID_HEADER, METADATA_HEADER]

const MAX_METADATA_BYTES = 2_048
const MAX_METADATA_KEYS = 16
const MAX_METADATA_KEY_LENGTH = 64
/** Printable ASCII without the comma, which is how `Headers` joins a header that was sent twice. */
const ID = /^[ -+\--~]{1,128}$/
const ASCII = /^[\t -~]*$/
/** Harmless as data, but not to every program that will read the events. */
const TRICK_KEYS = ['__proto__', 'constructor', 'prototype']

type CallHeaders = Pick<EventDraft, 'job_id' | 'batch_id' | 'session_id' | 'metadata'>

/** The call's own ids and metadata (null where it has none), or which header is wrong and why. */
export function readCallHeaders(headers: Iterable<[name: string, value: string]>): CallHeaders | GatewayError {
  const own = new Map<string, string>()
  for (const [name, value] of headers) {
    if (!name.startsWith(PREFIX)) continue
    if (!KNOWN_HEADERS.includes(name)) return bad(name, `is not known here. Known are ${KNOWN_HEADERS.join(', ')}`)
    if (name !== GATEWAY_KEY_HEADER && holdsKey(value))
      return bad(name, 'has a Tollgate key, which the event would keep')
    own.set(name, value)
  }
  for (const name of [JOB_ID_HEADER, BATCH_ID_HEADER, SESSION_ID_HEADER]) {
    const id = own.get(name)
    if (id !== undefined && !ID.test(id))
      return bad(name, 'must be 1 to 128 printable ASCII characters, no comma, sent once')
  }
  const metadata = readMetadata(own.get(METADATA_HEADER) ?? null)
  if (typeof metadata === 'string') return bad(METADATA_HEADER, metadata)
  return {
    job_id: own.get(JOB_ID_HEADER) ?? null,
    batch_id: own.get(BATCH_ID_HEADER) ?? null,
    session_id: own.get(SESSION_ID_HEADER) ?? null,
    metadata,
  }
}

/** The metadata, or what is wrong with it. */
function readMetadata(text: string | null): EventDraft['metadata'] | string {
  if (text === null) return null
  // Runtimes disagree on what other bytes of a header mean (Latin-1 or UTF-8): the same call must mean the same.
  if (!ASCII.test(text)) return 'must be ASCII: write other characters as \\uXXXX'
  if (text.length > MAX_METADATA_BYTES) return `must have at most ${MAX_METADATA_BYTES} bytes`
  const parsed = parseJsonOrUndefined(text)
  if (!isObject(parsed)) return 'must be a JSON object, sent once'
  const repeated = repeatedName(text)
  if (repeated !== '') return `must not have ${JSON.stringify(repeated)} more than once`
  const entries = Object.entries(parsed)
  if (entries.length > MAX_METADATA_KEYS) return `must have at most ${MAX_METADATA_KEYS} keys`
  for (const [key, value] of entries) {
    if (key === '' || key.length > MAX_METADATA_KEY_LENGTH || !isStorableText(key) || TRICK_KEYS.includes(key))
      return `has a key that is empty, longer than ${MAX_METADATA_KEY_LENGTH}, reserved or not plain text`
    if (!isMetadataValue(value))
      return `must not have this value at ${JSON.stringify(key)}: it is not a string of plain text, an exact number, a boolean or null`
  }
  // 1e15 is written as 16 digits when it is stored.
  if (new TextEncoder().encode(JSON.stringify(parsed)).length > MAX_METADATA_BYTES)
    return `must have at most ${MAX_METADATA_BYTES} bytes`
  return parsed
}

function isMetadataValue(value: unknown): boolean {
  if (typeof value === 'string') return isStorableText(value)
  if (typeof value === 'number')
    return Number.isFinite(value) && (!Number.isInteger(value) || Number.isSafeInteger(value))
  return typeof value === 'boolean' || value === null
}

function bad(header: string, problem: string): GatewayError {
  return { code: 'invalid_header', message: `${header} ${problem}.`, field: header }
}
