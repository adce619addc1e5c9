// The worker's variables when it runs locally: those of `.dev.vars`, then local stand-ins. Pure but for the random secrets.

import { randomBytes } from 'node:crypto'
import { VARIABLES } from '../config.ts'
import { parseJsonOrUndefined } from '../providers/answer.ts'
import { compatibleProviders, variableOf } from '../providers/compatible/configured.ts'
import { KNOWN_PROVIDERS } from '../providers/compatible/table.ts'
import { perCallServicesSchema } from '../providers/per-call.ts'
import { ANTHROPIC_CREDENTIAL, BEDROCK_CREDENTIAL, GOOGLE_CREDENTIAL, OPENAI_CREDENTIAL } from './fake-provider.ts'
import { StartFault } from './start-fault.ts'

export type Vars = Record<string, string>

/** Kept in `.tollgate/`, so that keys survive a restart. */
export interface LocalSecrets {
  KEY_SIGNING_SECRETS: string
  ADMIN_TOKEN: string
}

export function makeSecrets(): LocalSecrets {
  return {
    KEY_SIGNING_SECRETS: randomBytes(32).toString('base64url'),
    ADMIN_TOKEN: randomBytes(24).toString('base64url'),
  }
}

/** Providers that a fake stands in for, until their real key, or another address, is in `.dev.vars`. */
const FAKED = [
  { name: 'OpenAI', variable: 'OPENAI', credential: OPENAI_CREDENTIAL },
  { name: 'Anthropic', variable: 'ANTHROPIC', credential: ANTHROPIC_CREDENTIAL },
  { name: 'Bedrock', variable: 'BEDROCK', credential: BEDROCK_CREDENTIAL },
  { name: 'Gemini', variable: 'GEMINI', credential: GOOGLE_CREDENTIAL },
  { name: 'Google Places', variable: 'GOOGLE_PLACES', credential: GOOGLE_CREDENTIAL },
]

const isReal = (variable: string, devVars: Vars) =>
  Boolean(
    devVars[`${variable}_API_KEY`] ||
      devVars[`${variable}_BASE_URL`] ||
      (variable === 'BEDROCK' && devVars.AWS_ACCESS_KEY_ID),
  )

export interface LocalProvider {
  name: string
  is: 'real' | 'fake'
}

/** Those with a fake, each with what answers for it; then all others that this file or `wrangler.toml` switches on. */
export function providersOf(devVars: Vars, tomlVars: Vars = {}): LocalProvider[] {
  const faked = FAKED.map(({ name, variable }) => ({ name, is: isReal(variable, devVars) ? 'real' : 'fake' }) as const)
  // None where a variable is wrong: the worker will say so.
  const vars = { ...withoutEmpty(tomlVars), ...withoutEmpty(devVars) }
  const compatible = compatibleProviders.safeParse(vars).data ?? []
  return [...faked, ...[...compatible, ...servicesOf(vars)].map(({ name }) => ({ name, is: 'real' }) as const)]
}

/** Without the byte order mark of some editors. @throws {StartFault} for UTF-16, which PowerShell's `>` writes. */
export function textOfDevVars(text: string): string {
  if (text.includes('\0')) throw new StartFault('.dev.vars must be UTF-8')
  return text.replace(/^\uFEFF/, '')
}

/** An empty variable counts as not set. */
const withoutEmpty = (vars: Vars): Vars => Object.fromEntries(Object.entries(vars).filter(([, value]) => value !== ''))

const servicesOf = (vars: Vars): { name: string }[] =>
  (perCallServicesSchema.safeParse(parseJsonOrUndefined(vars.PER_CALL_SERVICES ?? '')).data ?? []).map(
    ({ provider }) => ({ name: provider }),
  )

/** A warning for each line of `.dev.vars` that has no effect: a mistyped name, or not `NAME=value`. Shows no values. */
export function withoutEffect(text: string, devVars: Vars, tomlVars: Vars = {}): string[] {
  const vars = { ...withoutEmpty(tomlVars), ...withoutEmpty(devVars) }
  const compatible = compatibleProviders.safeParse(vars)
  const providers = [...KNOWN_PROVIDERS, ...(compatible.data ?? [])]
  const known = new Set([
    ...VARIABLES,
    ...[...providers, ...servicesOf(vars)].map(({ name }) => variableOf(name, 'API_KEY')),
    ...providers.map(({ name }) => variableOf(name, 'BASE_URL')),
  ])
  // PROVIDERS may name any variable as an `api_key_binding`. Where an entry is wrong, as the worker will say, nobody knows which.
  const isKnown = (name: string) =>
    known.has(name) || vars.PROVIDERS?.includes(name) || (!compatible.success && /_(API_KEY|BASE_URL)$/.test(name))
  const names = Object.keys(devVars)
  const unknown = names.filter((name) => /^\w+$/.test(name) && !isKnown(name))
  // Without "=", or with TOML's triple quotes, which the parser takes for an empty text.
  const malformed = [...text.matchAll(/^[ \t]*([A-Z][A-Z0-9_]*)(?:[^\n=]*$|[ \t]*=[ \t]*(?:'''|"""))/gm)].map(
    ([, name = '']) => name,
  )
  // With another word before the name, which the parser takes for part of the name: `set NAME=value`.
  malformed.push(...names.flatMap((name) => (/^\w+$/.test(name) ? [] : (name.match(/\b[A-Z][A-Z0-9_]*/g) ?? []))))
  return [
    ...unknown.map((name) => `.dev.vars: ${name} is unknown to Tollgate and has no effect.`),
    ...malformed
      .filter((name) => isKnown(name) && !devVars[name])
      .map((name) => `.dev.vars: the line of ${name} is not ${name}=value and has no effect.`),
  ]
}

/** Every variable of the worker. Those of `.dev.vars` win, except for the address of the database. */
export function workerVars(
  devVars: Vars,
  local: { secrets: LocalSecrets; databaseUrl: string; databaseHttpUrl: string; fakeProviderUrl: string | null },
): Vars {
  const { secrets, databaseUrl, databaseHttpUrl, fakeProviderUrl } = local
  const fakes: Vars = {}
  for (const { variable, credential } of fakeProviderUrl ? FAKED : []) {
    if (isReal(variable, devVars)) continue
    Object.assign(fakes, { [`${variable}_API_KEY`]: credential, [`${variable}_BASE_URL`]: fakeProviderUrl })
  }
  return {
    ...secrets,
    ...fakes,
    ...withoutEmpty(devVars),
    DATABASE_URL: databaseUrl,
    DATABASE_HTTP_URL: databaseHttpUrl,
  }
}

/** An env file for wrangler (dotenv, then dotenv-expand). @throws {StartFault} for a value that no kind of quote can hold. */
export function formatEnvFile(vars: Vars): string {
  return Object.entries(vars)
    .map(([name, value]) => {
      const quote = [`'`, '`'].find((mark) => !value.includes(mark))
      if (!quote || value.endsWith('\\')) throw new StartFault(`.dev.vars: the value of ${name} cannot be quoted`)
      return `${name}=${quote}${value.replaceAll('$', '\\$')}${quote}\n`
    })
    .join('')
}
