// The worker's configuration, parsed once, at the door. A wrong or missing variable fails there, with an error that names it.

import { z } from 'zod'
import { secretsIn } from './auth/keys.ts'
import { wordsOf } from './issue-words.ts'
import { endsWithinPassword, isNeonUrl } from './postgres/connection-string.ts'
import { parseJsonOrUndefined } from './providers/answer.ts'
import { type ConfiguredProvider, compatibleProviders, variableOf } from './providers/compatible/configured.ts'
import { KNOWN_PROVIDERS } from './providers/compatible/table.ts'
import { BEDROCK_ID, baseUrl, optionalCredential } from './providers/configured-fields.ts'
import { repeatedName } from './providers/json-text.ts'
import { type PerCallService, perCallServicesSchema } from './providers/per-call.ts'

const secret = (least: number) => z.string().min(least, `must have at least ${least} characters`)
const httpUrl = z.url({ protocol: /^https?$/, error: 'must be an http:// or https:// URL' })
const json = <T extends z.ZodType>(schema: T, unset: unknown) =>
  z.preprocess((value, context) => {
    if (typeof value !== 'string') return value ?? unset
    const parsed = parseJsonOrUndefined(value)
    const repeated = parsed === undefined ? '' : repeatedName(value)
    if (parsed === undefined) context.addIssue('is not valid JSON')
    else if (repeated !== '') context.addIssue(`has ${repeated} more than once`)
    return parsed
  }, schema)
/** As `[vars]` and secrets have it. `Number` would take `true` for 1. */
const textOrNumber = (fault: string) => z.union([z.string(), z.number()], fault).pipe(z.coerce.number(fault))
const integer = (least: number, most: number) => textOrNumber('must be a number').pipe(z.int().min(least).max(most))

/** The driver would quote any other, with its password, in an error that is logged. */
const isDatabaseUrl = (text: string) => {
  const url = URL.parse(text)
  return url !== null && url.username !== '' && url.pathname.length > 1 && !endsWithinPassword(url)
}

/** Otherwise whoever calls the model would be told that the id is wrong. */
const bedrockId = z.string().regex(BEDROCK_ID, 'must be a model id or an ARN of Bedrock')

const originsIn = (text: string) => (text.trim() === '*' ? '*' : text.split(',').map((origin) => origin.trim()))
const isOrigin = (text: string) => URL.parse(text)?.origin === text

const modelId = z
  .string()
  .max(200)
  .regex(/^[^/]+\/./, 'must be provider/model')
const modelsSchema = z
  .array(modelId)
  .refine((models) => new Set(models).size === models.length, 'must not name a model twice')

export const DEFAULT_HOLD_TTL_SECONDS = 1_200

const capStatusFault = 'must be 402, 403 or 429'

const configSchema = z
  .object({
    /** Neon's connection string. */
    DATABASE_URL: z
      .string()
      .regex(/^postgres(ql)?:\/\//, 'must be a postgresql:// connection string')
      .refine(
        isDatabaseUrl,
        'must be like postgresql://user:password@host/database, with special characters %-encoded',
      ),
    /** Where the database answers SQL over HTTP; unset for Neon, which the driver finds by itself. */
    DATABASE_HTTP_URL: httpUrl.optional(),
    /** Comma-separated; the newest signs, all verify. */
    KEY_SIGNING_SECRETS: z
      .string()
      .transform(secretsIn)
      .pipe(z.array(secret(32))),
    /** Only what every client can send in a header. */
    ADMIN_TOKEN: secret(24).regex(/^(?! )[ -~]*(?<! )$/, 'must be ASCII without white space around it'),

    JWT_HS256_SECRET: secret(32).optional(),
    JWT_JWKS_URL: httpUrl.optional(),
    JWT_ISSUER: z.string().optional(),
    JWT_AUDIENCE: z.string().optional(),
    /** The value of the `role` claim (or one of the `roles`) that may administer. */
    JWT_ADMIN_ROLE: z.string().default('tollgate-admin'),

    OPENAI_API_KEY: optionalCredential,
    OPENAI_BASE_URL: baseUrl.default('https://api.openai.com'),
    ANTHROPIC_API_KEY: optionalCredential,
    ANTHROPIC_BASE_URL: baseUrl.default('https://api.anthropic.com'),
    /** A Bedrock API key; without one the AWS keys sign. */
    BEDROCK_API_KEY: optionalCredential,
    BEDROCK_REGION: z
      .string()
      .regex(/^[a-z]{2}(-[a-z]+)+-\d$/, 'must be an AWS region')
      .default('us-east-1'),
    BEDROCK_BASE_URL: baseUrl.optional(),
    AWS_ACCESS_KEY_ID: optionalCredential,
    AWS_SECRET_ACCESS_KEY: optionalCredential,
    AWS_SESSION_TOKEN: optionalCredential,
    /** Anthropic models that Bedrock serves, as JSON: `{"claude-sonnet-4-5": "us.anthropic.claude-..."}`. */
    BEDROCK_MODELS: json(z.record(z.string(), bedrockId), {}),
    GEMINI_API_KEY: optionalCredential,
    GEMINI_BASE_URL: baseUrl.default('https://generativelanguage.googleapis.com'),
    GOOGLE_PLACES_API_KEY: optionalCredential,
    GOOGLE_PLACES_BASE_URL: baseUrl.default('https://places.googleapis.com'),
    /** Services that are paid by the call, as JSON: see src/providers/per-call.ts. Each key is in `<PROVIDER>_API_KEY`. */
    PER_CALL_SERVICES: json(perCallServicesSchema, []),

    /** What `GET /v1/models` lists, as JSON: `["openai/gpt-4o-mini"]`. */
    MODELS: json(modelsSchema, []),

    /** Output bound of calls that set none; unset: the model's maximum. */
    DEFAULT_MAX_OUTPUT_TOKENS: integer(1, 10_000_000).optional(),
    /** HTTP status of a call that a cap refuses, for every dialect; unset: the one its SDK does not retry. */
    CAP_STATUS: textOrNumber(capStatusFault)
      .pipe(z.literal([402, 403, 429], capStatusFault))
      .optional(),
    /** Origins of the pages whose scripts may call, comma-separated; `*` for any, unset for none. */
    CORS_ORIGINS: z
      .string()
      .transform(originsIn)
      .refine(
        (origins) => origins === '*' || origins.every(isOrigin),
        'must be *, or origins like https://app.example.com with commas between them',
      )
      .optional(),
    /** After this long a call that never came back is charged its hold. */
    HOLD_TTL_SECONDS: integer(1, 86_400).default(DEFAULT_HOLD_TTL_SECONDS),
    /**
     * How long a provider may take to begin its answer. Silence is noticed some 16 seconds later, and OpenAI's and Anthropic's
     * SDKs give up after 600 seconds and ask again, twice.
     */
    FIRST_BYTE_TIMEOUT_SECONDS: integer(1, 3_600).default(570),
    /** How long it may be silent within its answer. Node's own `fetch` breaks the connection after 300 seconds of silence. */
    IDLE_TIMEOUT_SECONDS: integer(1, 3_600).default(280),
  })
  .refine((config) => !(config.JWT_HS256_SECRET || config.JWT_JWKS_URL) || config.JWT_ISSUER, {
    path: ['JWT_ISSUER'],
    message: 'is required where JWTs are accepted',
  })
  .refine((config) => !config.AWS_ACCESS_KEY_ID === !config.AWS_SECRET_ACCESS_KEY, {
    path: ['AWS_SECRET_ACCESS_KEY'],
    message: 'and AWS_ACCESS_KEY_ID must be set together',
  })

/** The names of all variables but the keys and base URLs of compatible providers and services. */
export const VARIABLES: readonly string[] = [...Object.keys(configSchema.shape), 'PROVIDERS']

export interface Config extends Omit<z.output<typeof configSchema>, 'PER_CALL_SERVICES'> {
  /** From `<NAME>_API_KEY`, `<NAME>_BASE_URL` and `PROVIDERS`. */
  COMPATIBLE_PROVIDERS: ConfiguredProvider[]
  PER_CALL_SERVICES: ConfiguredService[]
}

export interface ConfiguredService extends PerCallService {
  /** Unset: callers must bring theirs. */
  credential: string | undefined
}

export class ConfigError extends Error {
  override readonly name = 'ConfigError'
}

/**
 * An empty variable is not set.
 * @throws {ConfigError} naming every variable that is missing or wrong; never its value.
 */
export function parseConfig(bindings: object): Config {
  const env = Object.fromEntries(Object.entries(bindings).filter(([, value]) => value !== ''))
  const parsed = configSchema.safeParse(env, {
    error: ({ input }) => (input === undefined ? 'is required' : undefined),
  })
  const compatible = compatibleProviders.safeParse(env)
  if (!parsed.success || !compatible.success) {
    const issues = [...(parsed.error?.issues ?? []), ...(compatible.error?.issues ?? [])]
    throw wrong(issues.map((issue) => `${issue.path.join('.')}: ${wordsOf(issue)}`).join('; '))
  }
  const PER_CALL_SERVICES = parsed.data.PER_CALL_SERVICES.map((service) => {
    const variable = variableOf(service.provider, 'API_KEY')
    const credential = optionalCredential.safeParse(env[variable])
    if (!credential.success)
      throw wrong(credential.error.issues.map((issue) => `${variable}: ${wordsOf(issue)}`).join('; '))
    return { ...service, credential: credential.data }
  })
  const taken = PER_CALL_SERVICES.find(({ provider }) => compatible.data.some(({ name }) => name === provider))
  if (taken) throw wrong(`PER_CALL_SERVICES: ${taken.provider} is already the name of a provider.`)
  // Also providers that are not switched on: taking a key away must not make the configuration invalid.
  const names = new Set(['openai', ...[...KNOWN_PROVIDERS, ...compatible.data].map(({ name }) => name)])
  const stray = parsed.data.MODELS.findIndex((id) => !names.has(id.slice(0, id.indexOf('/'))))
  if (stray !== -1) throw wrong(`MODELS.${stray}: must begin with one of ${[...names].join(', ')}.`)
  return { ...parsed.data, COMPATIBLE_PROVIDERS: compatible.data, PER_CALL_SERVICES }
}

/** What `wrangler.toml` binds to the Worker. Without `PRICES` it would charge what the catalogue says, whatever admins have set. */
const BINDINGS = ['USAGE_LEDGER', 'PRICES'] as const

/**
 * That of the Worker itself, which needs its bindings, too, and a database that answers over HTTP: for any but Neon's, the driver
 * would send the password to the host `api.` of the same domain, which may be anybody's.
 * @throws {ConfigError}
 */
export function parseWorkerConfig(env: Record<(typeof BINDINGS)[number], unknown>): Config {
  const missing = BINDINGS.filter((name) => !env[name])
  const why = 'is not bound to this Worker (environments in wrangler.toml do not inherit bindings: repeat them there)'
  if (missing.length > 0) throw wrong(missing.map((name) => `${name}: ${why}`).join('; '))
  const config = parseConfig(env)
  if (!config.DATABASE_HTTP_URL && !isNeonUrl(config.DATABASE_URL))
    throw wrong('DATABASE_HTTP_URL: is required, because the database in DATABASE_URL is not at Neon')
  return config
}

const wrong = (faults: string) => new ConfigError(`Tollgate is not configured. ${faults}`)
