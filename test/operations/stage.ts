// Tollgate with every provider that it knows, all of them one fake; and calls of it as the tables describe them.

import { parseConfig } from '../../src/config.ts'
import { type Provider, providersOf } from '../../src/gateway/upstreams.ts'
import { answerOpenAI } from '../../src/local/fake-openai.ts'
import { type FakeProvider, OPENAI_CREDENTIAL, type RecordedRequest } from '../../src/local/fake-provider.ts'
import type { Script } from '../../src/local/fake-script.ts'
import { ADMIN_TOKEN, type Gateway, type GatewayOptions, KEY_SIGNING_SECRET, startGateway } from '../support/gateway.ts'
import { ANTHROPIC_CASES, BEDROCK_CASES } from './anthropic-cases.ts'
import { type Case, isPaid, type Sent } from './case.ts'
import { COMPATIBLE_CASES, COMPATIBLE_PROVIDERS } from './compatible-cases.ts'
import { GEMINI_CASES, PLACES_CASES, THINGS_CASES, THINGS_ROUTES } from './google-cases.ts'
import { OPENAI_CASES } from './openai-cases.ts'
import { saying } from './says.ts'

/** Every provider's cases, by its name. */
export const CASES: Record<string, Case[]> = {
  openai: OPENAI_CASES,
  anthropic: ANTHROPIC_CASES,
  bedrock: BEDROCK_CASES,
  gemini: GEMINI_CASES,
  'google-places': PLACES_CASES,
  things: THINGS_CASES,
  ...COMPATIBLE_CASES,
}

/** Below this path the fake is one of the compatible providers. */
const COMPATIBLE = /^\/compatible\/([^/]+)/

function varsOf(url: string): Record<string, string> {
  const things = { provider: 'things', base_url: url, credential_header: 'x-things-key', routes: THINGS_ROUTES }
  return {
    ...Object.fromEntries(
      ['OPENAI', 'ANTHROPIC', 'GEMINI', 'GOOGLE_PLACES', 'BEDROCK'].map((name) => [`${name}_BASE_URL`, url]),
    ),
    ...Object.fromEntries(
      COMPATIBLE_PROVIDERS.flatMap((name) => {
        const variable = name.toUpperCase().replaceAll('-', '_')
        return [
          [`${variable}_API_KEY`, OPENAI_CREDENTIAL],
          [`${variable}_BASE_URL`, `${url}/compatible/${name}/v1`],
        ]
      }),
    ),
    PER_CALL_SERVICES: JSON.stringify([things]),
    THINGS_API_KEY: 'things-fake',
  }
}

/** What a deployment with all of them forwards to. */
export const providers = (): Provider[] =>
  providersOf(
    parseConfig({
      DATABASE_URL: 'postgres://user@localhost/tollgate',
      KEY_SIGNING_SECRETS: KEY_SIGNING_SECRET,
      ADMIN_TOKEN,
      ...varsOf('http://fake'),
    }),
  )

export interface Stage {
  gateway: Gateway
  provider: FakeProvider
  /** A call of this provider through Tollgate. `key: null`: without a credential. */
  call(provider: string, sent: Sent, key: string | null, id?: string): Promise<Response>
  /** Makes something at the provider itself, and returns its id. */
  make(provider: string, sent: Sent): Promise<string>
  /** From now on the provider says what this case wants it to say. */
  play(one: Case): void
  close(): Promise<void>
}

export async function openStage(options: Pick<GatewayOptions, 'onLog'> = {}): Promise<Stage> {
  const gateway = await startGateway({ ...options, vars: varsOf })
  const { provider } = gateway
  return {
    gateway,
    provider,
    call: (name, sent, key, id) => send(`${gateway.url}/${name}`, sent, headersOf(name, key), id),
    async make(name, sent) {
      const headers = headersOf(name, name === 'anthropic' ? 'sk-ant-fake' : OPENAI_CREDENTIAL)
      const made = await send(provider.url, sent, headers)
      provider.requests.length = 0
      return ((await made.json()) as { id: string }).id
    },
    play(one) {
      const paid = isPaid(one) ? one.is : null
      provider.reply = (request, usual) => {
        const script = answerOf(request, usual)
        return paid?.says ? saying(script, paid.says, paid.says_at) : script
      }
    },
    close: () => gateway.close(),
  }
}

/** Compatible providers answer as OpenAI does; those that know no `stream_options` report usage unasked. */
function answerOf({ method, path, headers, body }: RecordedRequest, usual: () => Script): Script {
  const name = COMPATIBLE.exec(path)?.[1]
  if (name === undefined) return usual()
  const sent = new Headers(headers)
  const key = sent.get('api-key')
  const authorization = key ? `Bearer ${key}` : (sent.get('authorization') ?? undefined)
  const asked = name === 'mistral' || name === 'openrouter' ? askingForUsage(body) : body
  return answerOpenAI(method, path.replace(COMPATIBLE, ''), authorization, asked, sent.get('content-type') ?? undefined)
}

const askingForUsage = (body: Buffer) =>
  body.length === 0 ? body : Buffer.from(`${body.toString().slice(0, -1)},"stream_options":{"include_usage":true}}`)

/** The credential where this provider's clients send it. */
function headersOf(provider: string, key: string | null): Record<string, string> {
  const version: Record<string, string> = provider === 'anthropic' ? { 'anthropic-version': '2023-06-01' } : {}
  if (key === null) return version
  if (provider === 'anthropic') return { ...version, 'x-api-key': key }
  if (provider === 'gemini' || provider === 'google-places') return { 'x-goog-api-key': key }
  if (provider === 'things') return { 'x-things-key': key }
  return { authorization: `Bearer ${key}` }
}

async function send(
  base: string,
  { method = 'POST', path, headers, json, form }: Sent,
  credential: Record<string, string>,
  id = 'none',
): Promise<Response> {
  const { content_type, body } = json
    ? { content_type: 'application/json', body: JSON.stringify(json) }
    : form
      ? await bytesOfForm(form)
      : { content_type: null, body: null }
  return fetch(base + path.replace(':id', id), {
    method,
    headers: { ...headers, ...credential, ...(content_type && { 'content-type': content_type }) },
    body,
    redirect: 'manual',
  })
}

/** What is uploaded where a form has a file. */
export const FILE = { name: 'name-of-a-file.bin', content: 'content-of-a-file' }

/** Whole: an upload that streams is cut off where it is refused before it has ended. */
async function bytesOfForm(fields: Record<string, string | null>) {
  const form = new FormData()
  for (const [name, value] of Object.entries(fields)) {
    if (value === null) form.set(name, new File([FILE.content], FILE.name, { type: 'application/octet-stream' }))
    else form.set(name, value)
  }
  const encoded = new Response(form)
  return { content_type: encoded.headers.get('content-type'), body: await encoded.arrayBuffer() }
}
