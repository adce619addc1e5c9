// Fields of the configuration that providers and services share, each with one rule for all of them. Pure.

import { z } from 'zod'

/** The first segments of Tollgate's own routes, now or soon: a provider of that name would shadow them. */
const RESERVED_NAMES: ReadonlySet<string> = new Set(
  'admin anthropic bedrock docs gemini google google-places health keys openai openapi places prices usage v1'.split(
    ' ',
  ),
)

/** Name in paths, events, prices and variables: no two spellings of it share a `<NAME>_API_KEY`. */
export const providerName = z
  .string()
  .regex(/^[a-z][a-z0-9-]{0,39}$/, 'must be 1 to 40 of a-z, 0-9 and -, beginning with a letter')
  .refine((name) => !RESERVED_NAMES.has(name), 'is the name of another route')

/** The path of a call is appended to it. */
export const baseUrl = z
  .url({
    protocol: /^https?$/,
    error: ({ input }) => (input === undefined ? 'is required' : 'must be an http:// or https:// URL'),
  })
  .refine((url) => !/[?#]|\/\/[^/]*@/.test(url), 'must have no credentials, no query and no fragment')
  .transform((url) => url.replace(/\/+$/, ''))

/** Only what every header can carry: a line break at the end of a variable is not part of the key, say. */
export const CREDENTIAL = /^[\x21-\x7e]+$/
export const optionalCredential = z.string().regex(CREDENTIAL, 'must be printable ASCII without white space').optional()

/**
 * A model's id or ARN. Slashes only where an ARN has them, and never `..`, so that the provider reads the path as it was read
 * here.
 */
export const BEDROCK_ID = /^(?!.{2049})([a-zA-Z0-9][\w.:-]*|arn:[\w:-]+(\/[\w:-][\w.:-]*)+)$/

/** In lower case. */
export const headerName = z
  .string()
  .regex(/^[a-z0-9][a-z0-9-]{0,63}$/i, 'must be the name of a header')
  .toLowerCase()

/** They carry credentials or belong to one hop. */
const WITHHELD =
  /^(authorization|connection|content-length|cookie|host|te|trailer|transfer-encoding|upgrade|(x-)?api-key|x-goog-api-key|x-forwarded-.*|x-tollgate-.*|proxy-.*)$/

/** Name of a client's header that is passed on. */
export const forwardedHeader = headerName.refine(
  (name) => !WITHHELD.test(name),
  'must not carry credentials or belong to one hop',
)
