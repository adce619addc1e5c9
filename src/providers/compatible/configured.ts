// Which OpenAI-compatible providers a deployment has, from its variables. A known one is switched on by
// `<NAME>_API_KEY` (or `<NAME>_BASE_URL`: then callers bring their keys); any other is an entry of `PROVIDERS`:
//
//   [{ "name": "acme", "base_url": "https://api.acme.example/v1", "quirks": { "output_field": "max_tokens" } }]
//
// Keys stay in bindings of their own: `<NAME>_API_KEY`, or the one that `api_key_binding` names. Pure.

import { z } from 'zod'
import { wordsOf } from '../../issue-words.ts'
import { isObject, parseJsonOrUndefined } from '../answer.ts'
import { baseUrl, optionalCredential } from '../configured-fields.ts'
import { repeatedName } from '../json-text.ts'
import { type CompatibleProvider, type ProviderRow, providerSchema } from './provider.ts'
import { KNOWN_PROVIDERS } from './table.ts'

export interface ConfiguredProvider extends CompatibleProvider {
  /** The gateway's own; unset: callers must bring theirs. */
  credential: string | undefined
}

/** Secrets that open Tollgate itself: an `api_key_binding` that names one by mistake would send it to a provider. */
const NOT_FOR_PROVIDERS = ['ADMIN_TOKEN', 'DATABASE_URL', 'JWT_HS256_SECRET', 'KEY_SIGNING_SECRETS']

const entrySchema = z.looseObject(
  {
    name: z.string('must be a string'),
    api_key: z.undefined('must not stand here: put the key into a secret and name it in api_key_binding').optional(),
    api_key_binding: z
      .string()
      .regex(/^[A-Z][A-Z0-9_]*$/, 'must be the name of a binding')
      .refine((name) => !NOT_FOR_PROVIDERS.includes(name), 'must not be a secret of Tollgate itself')
      .optional(),
  },
  'must be an object',
)

/** Parses a worker's whole environment. Issues name the variable and the field: `PROVIDERS.0.base_url`. */
export const compatibleProviders = z
  .looseObject({})
  .transform((env: Record<string, unknown>, context): ConfiguredProvider[] => {
    const reading: Reading = {
      env,
      found: [],
      fault: (path, message) => context.addIssue({ code: 'custom', path, message }),
    }
    const names = addEntries(reading)
    addKnown(reading, names)
    return reading.found
  })

interface Reading {
  env: Record<string, unknown>
  found: ConfiguredProvider[]
  fault(path: PropertyKey[], message: string): void
}

/** The entries of `PROVIDERS`. @returns their names. */
function addEntries(reading: Reading): ReadonlySet<string> {
  const { env, fault } = reading
  const { PROVIDERS } = env
  const names = new Set<string>()
  const entries = readEntries(PROVIDERS)
  if (entries === null) {
    fault(['PROVIDERS'], 'must be a JSON array of objects')
    return names
  }
  const repeated = typeof PROVIDERS === 'string' ? repeatedName(PROVIDERS) : ''
  if (repeated !== '') fault(['PROVIDERS'], `has ${repeated} more than once`)
  for (const [index, raw] of entries.entries()) {
    const at = (path: PropertyKey[]) => ['PROVIDERS', index, ...path]
    const entry = entrySchema.safeParse(raw)
    for (const issue of entry.error?.issues ?? []) fault(at(issue.path), wordsOf(issue))
    if (!entry.success) continue
    const { api_key_binding, ...own } = entry.data
    if (names.has(own.name)) fault(at(['name']), 'is taken by an earlier entry')
    names.add(own.name)
    const credential = credentialIn(reading, api_key_binding ?? variableOf(own.name, 'API_KEY'))
    if (api_key_binding && env[api_key_binding] === undefined)
      fault(at(['api_key_binding']), `names ${api_key_binding}, which is not set`)
    const url = variableOf(own.name, 'BASE_URL')
    const { base_url } = own
    const isUrlElsewhere = !('base_url' in own) && env[url] !== undefined
    if ('base_url' in own && env[url] !== undefined && addressOf(base_url) !== addressOf(env[url]))
      fault(at(['base_url']), `must not stand here beside ${url} with another address`)
    addProvider(reading, merged(own, env), credential, (path) =>
      isUrlElsewhere && path[0] === 'base_url' ? [url] : at(path),
    )
  }
  return names
}

/** The known providers that their variables switch on, unless an entry has their name. */
function addKnown(reading: Reading, names: ReadonlySet<string>): void {
  const { env } = reading
  for (const { name } of KNOWN_PROVIDERS) {
    const [key, url] = [variableOf(name, 'API_KEY'), variableOf(name, 'BASE_URL')]
    if (names.has(name) || (env[key] === undefined && env[url] === undefined)) continue
    addProvider(reading, merged({ name }, env), credentialIn(reading, key), () => [url])
  }
}

/** @param pathOf where the operator finds a field of the row. */
function addProvider(
  { found, fault }: Reading,
  row: object,
  credential: string | undefined,
  pathOf: (path: PropertyKey[]) => PropertyKey[],
): void {
  const parsed = providerSchema.safeParse(row, {
    error: ({ input }) => (input === undefined ? 'is required' : undefined),
  })
  if (parsed.success) found.push({ ...parsed.data, credential })
  for (const issue of parsed.error?.issues ?? []) fault(pathOf(issue.path), wordsOf(issue))
}

function credentialIn({ env, fault }: Reading, variable: string): string | undefined {
  const credential = optionalCredential.safeParse(env[variable])
  for (const issue of credential.error?.issues ?? []) fault([variable], wordsOf(issue))
  return credential.data
}

/** An entry on top of the known row of its name: quirks are replaced one by one, all other fields whole. */
function merged(entry: { name: string; [field: string]: unknown }, env: Record<string, unknown>): object {
  const known: ProviderRow | undefined = KNOWN_PROVIDERS.find(({ name }) => name === entry.name)
  const base_url = env[variableOf(entry.name, 'BASE_URL')]
  const { quirks: own } = entry
  const quirks = isObject(own) || own === undefined ? { ...known?.quirks, ...own } : own
  return { ...known, ...(base_url !== undefined && { base_url }), ...entry, quirks }
}

const addressOf = (url: unknown) => baseUrl.safeParse(url).data

/** Cloudflare's variables are text or JSON. Null where they are neither a list nor absent. */
function readEntries(variable: unknown): unknown[] | null {
  if (variable === undefined) return []
  const value = typeof variable === 'string' ? parseJsonOrUndefined(variable) : variable
  return Array.isArray(value) ? value : null
}

/** `WORKERS_AI_API_KEY` */
export const variableOf = (name: string, what: 'API_KEY' | 'BASE_URL') =>
  `${name.toUpperCase().replaceAll('-', '_')}_${what}`
