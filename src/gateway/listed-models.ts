// GET /v1/models and /v1/models/{id}: the menu that the operator has written into MODELS. No provider is asked: that
// would turn one call into many. Nor is the catalogue of prices, which keeps the names of models long gone. Nothing is sent
// and nothing costs anything, so nothing is held, counted or recorded; but whoever may not call is refused here, too.

import { type Context, Hono } from 'hono'
import type { LedgerOf } from '../../durable-objects/ledger/types.ts'
import type { JwtVerifier } from '../auth/jwt.ts'
import type { KeyRing } from '../auth/keys.ts'
import { GatewayFault } from '../fault.ts'
import { authenticate } from '../middleware/authenticate.ts'
import { refusalError } from '../middleware/refusal-error.ts'
import type { Database } from '../postgres/client.ts'
import { openai } from '../providers/openai.ts'
import { answerFault } from './answer-fault.ts'
import type { CallerEnv } from './call.ts'
import { callerRefusal } from './provision.ts'

export interface ListedModelsOptions {
  keys: KeyRing
  jwt: JwtVerifier | null
  ledgerOf: LedgerOf
  db: Database
  /** As `/v1` takes them: `groq/openai/gpt-oss-20b`. None: there is no list. */
  models: readonly string[]
  /** Those of `/v1`, by name. */
  providers: ReadonlyMap<string, ListedProvider>
}

export interface ListedProvider {
  /** Without a key here its models are for callers who bring theirs. */
  has_key: boolean
  /** Where its own list is, if it has one: `/groq/v1/models`. */
  own_list: string | null
}

/**
 * To be mounted at `/v1/models`, behind `requestId()`.
 *
 * @example
 * ```ts
 * const models = ['openai/gpt-4o-mini']
 * const providers = new Map([['openai', { has_key: true, own_list: '/openai/v1/models' }]])
 * app.route('/v1/models', listedModels({ keys, jwt, ledgerOf, db, models, providers }))
 * ```
 */
export function listedModels(options: ListedModelsOptions): Hono<CallerEnv> {
  const { keys, jwt, models, providers } = options
  const own_lists = [...providers.values()].flatMap(({ own_list }) => own_list ?? [])

  /** What the caller could call. */
  async function listFor(c: Context<CallerEnv>): Promise<string[]> {
    const { caller, request_id } = c.var
    const refusal = await callerRefusal(options, caller, request_id)
    if (refusal) throw new GatewayFault(refusalError(refusal))
    if (models.length === 0)
      throw notFound(`MODELS is not set, so none are listed here. Providers' own lists: ${own_lists.join(', ')}.`)
    // A cache may give it to anybody where the key came in another header than `Authorization`.
    c.header('cache-control', 'no-store')
    return models.filter((id) => {
      const provider = providers.get(providerOf(id))
      return provider !== undefined && (provider.has_key || caller.brings_own_key)
    })
  }

  const app = new Hono<CallerEnv>()
  app.get('/', authenticate({ keys, jwt }), async function listModels(c) {
    return c.json({ object: 'list', data: (await listFor(c)).map(viewOf) })
  })
  app.get('/:model{.+}', authenticate({ keys, jwt }), async function getModel(c) {
    const id = c.req.param('model')
    if ((await listFor(c)).includes(id)) return c.json(viewOf(id))
    throw notFound(`${JSON.stringify(id.slice(0, 200))} is not listed here, but may be called all the same.`)
  })
  app.onError(answerFault(openai.errorResponse))
  return app
}

const providerOf = (id: string) => id.slice(0, id.indexOf('/'))

/** `created` is 0 for unknown: strict clients want a number, and some cannot read every one. https://github.com/QuantumNous/new-api/issues/2648 */
const viewOf = (id: string) => ({ id, object: 'model', created: 0, owned_by: providerOf(id) })

function notFound(message: string): GatewayFault {
  return new GatewayFault({ code: 'not_found', message, field: 'model' })
}
