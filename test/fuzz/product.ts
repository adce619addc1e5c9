// Every public route, from the product itself: its router, its tables of operations and its OpenAPI document. What is added
// there is fuzzed without being named here. No I/O, except that it asks the app in this process.

import { createApp } from '../../src/app.ts'
import { type Config, parseConfig } from '../../src/config.ts'
import { isRefusal } from '../../src/errors.ts'
import { providersOf } from '../../src/gateway/upstreams.ts'
import type { Dialect, Operation } from '../../src/providers/dialect.ts'
import { ADMIN_TOKEN, KEY_SIGNING_SECRET } from '../support/gateway.ts'
import type { Json } from './json.ts'
import { type JsonSchema, sampleOf } from './schema.ts'

/** Decides who may enter, and how errors look. */
export type Kind = 'openai' | 'anthropic' | 'bedrock' | 'google' | 'per_call' | 'admin' | 'caller' | 'open'

export interface Route {
  method: string
  /** In Hono's pattern language: `/openai/v1/files/:id`. */
  path: string
  kind: Kind
  /** `chat_completions`; null where no provider is behind it. */
  operation: string | null
  takes: 'json' | 'form' | 'csv' | null
  /** Bodies made from the document's schema. */
  samples: Json[]
  /** Parameters that it may have, with one good value each. */
  query: [name: string, value: string][]
  /** Parameters that it must have. */
  needed_query: [name: string, value: string][]
  /** Where a Tollgate key may stand, lower case; `?key` for a parameter of the query. */
  credentials: string[]
  /** False where no request can get a 2xx: known operations that are refused. */
  can_succeed: boolean
}

/** Providers beside the built-in ones, all served by the fake at `url`. */
export const providerVars = (url: string): Record<string, string> => ({
  GROQ_API_KEY: 'sk-fake',
  GROQ_BASE_URL: `${url}/openai/v1`,
  MISTRAL_API_KEY: 'sk-fake',
  MISTRAL_BASE_URL: `${url}/v1`,
  AZURE_API_KEY: 'sk-fake',
  AZURE_BASE_URL: `${url}/openai/v1`,
  PROVIDERS: JSON.stringify([
    { name: 'acme', base_url: `${url}/acme`, operations: ['completions', 'embeddings', 'responses', 'models'] },
  ]),
  ACME_API_KEY: 'sk-fake',
  PER_CALL_SERVICES: JSON.stringify([
    {
      provider: 'things',
      base_url: url,
      credential_header: 'x-things-key',
      credential_query: 'key',
      routes: [
        { name: 'find', method: 'GET', path: '/things/:id', usd_per_request: 0.01 },
        { name: 'search', method: 'POST', path: '/things/:verb{things:search}', usd_per_request: 0.02 },
        { name: 'add', method: 'POST', path: '/things/:id/photo', usd_per_request: 0, takes: 'form' },
      ],
    },
  ]),
  THINGS_API_KEY: 'things-fake',
  MODELS: JSON.stringify(['openai/gpt-4o-mini']),
  BEDROCK_MODELS: JSON.stringify({ 'claude-on-bedrock': 'us.anthropic.claude-sonnet-4-5-20250929-v1:0' }),
})

export async function routesOfProduct(): Promise<Route[]> {
  const config = parseConfig({
    DATABASE_URL: 'postgresql://nobody:nothing@127.0.0.1/none',
    KEY_SIGNING_SECRETS: KEY_SIGNING_SECRET,
    ADMIN_TOKEN,
    ...providerVars('http://127.0.0.1:9'),
  })
  const ledgerOf = () => {
    throw new Error('only the routes are looked at')
  }
  const app = createApp({ config, ledgerOf })
  const document: OpenApi = await (await app.request('/openapi.json')).json()
  const operations = operationsOf(config)
  const known = new Set<string>()
  return app.routes.flatMap(({ method, path }): Route[] => {
    const name = `${method} ${path}`
    if (method === 'ALL' || known.has(name)) return []
    known.add(name)
    // `/v1/models/:model{.+}` is for ids with a slash.
    const found = operations.get(name) ?? operations.get(`${method} /openai${path.replace('{.+}', '')}`)
    if (found) return [forwarded(method, path, found)]
    return [restRoute(method, path, document)]
  })
}

interface Forwarded {
  dialect: Dialect
  operation: Operation
  kind: Kind
}

function operationsOf(config: Config): Map<string, Forwarded> {
  const perCall = new Set(config.PER_CALL_SERVICES.map(({ provider }) => provider))
  const kindOf = (provider: string): Kind => {
    if (provider === 'anthropic' || provider === 'bedrock') return provider
    if (provider === 'gemini' || provider === 'google-places') return 'google'
    return perCall.has(provider) ? 'per_call' : 'openai'
  }
  return new Map(
    providersOf(config).flatMap(({ dialect }) =>
      dialect.operations.flatMap((operation) =>
        ['', dialect.optional_prefix ?? ''].map((prefix): [string, Forwarded] => [
          `${operation.method} /${dialect.provider}${prefix}${operation.path}`,
          { dialect, operation, kind: kindOf(dialect.provider) },
        ]),
      ),
    ),
  )
}

const HEADERS = ['authorization', 'x-api-key', 'x-goog-api-key', 'api-key', 'x-things-key']

function forwarded(method: string, path: string, { dialect, operation, kind }: Forwarded): Route {
  const asked = { body: {}, bytes: 2, params: {}, query: new URLSearchParams(), headers: new Headers() }
  const bound = operation.readBound?.(asked)
  const headers = HEADERS.filter((name) => {
    const value = name === 'authorization' ? 'Bearer probe' : 'probe'
    return dialect.readCredential(new Headers({ [name]: value }), 'http://x/') === 'probe'
  })
  return {
    method,
    path,
    kind,
    operation: operation.name,
    takes: method === 'POST' ? (operation.takes ?? 'json') : null,
    samples: [],
    query: [],
    needed_query: [],
    credentials: [...headers, ...(dialect.credential_query ? [`?${dialect.credential_query}`] : [])],
    can_succeed: !(bound && isRefusal(bound) && bound.code === 'not_found'),
  }
}

interface OpenApi {
  paths: Record<string, Record<string, OpenApiOperation>>
  components: { schemas: Record<string, JsonSchema> }
}

interface OpenApiOperation {
  parameters?: { in: string; name: string; required?: boolean; schema: JsonSchema }[]
  requestBody?: { content: Record<string, { schema: JsonSchema }> }
}

function restRoute(method: string, path: string, { paths, components }: OpenApi): Route {
  const documented = paths[path.replaceAll(/:(\w+)(\{[^}]*\})?/g, '{$1}')]?.[method.toLowerCase()]
  const { parameters = [], requestBody } = documented ?? {}
  const schema = requestBody?.content['application/json']?.schema
  const first = path.split('/')[1]
  const queryOf = (isNeeded: boolean) =>
    parameters
      .filter((parameter) => parameter.in === 'query' && (parameter.required ?? false) === isNeeded)
      .map(({ name, schema }): [string, string] => [
        name,
        encodeURI(String(sampleOf(schema, components.schemas, true))),
      ])
  const kind = first === 'admin' ? 'admin' : first === 'usage' || first === 'prices' ? 'caller' : 'open'
  return {
    method,
    path,
    kind,
    operation: null,
    takes: schema ? 'json' : requestBody?.content['text/csv'] ? 'csv' : null,
    samples: schema ? [true, false].map((whole) => sampleOf(schema, components.schemas, whole)) : [],
    query: queryOf(false),
    needed_query: queryOf(true),
    credentials: kind === 'caller' ? ['authorization', 'x-api-key'] : ['authorization'],
    can_succeed: true,
  }
}
