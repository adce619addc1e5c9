// GET /prices/{provider}/{model}: the price that would apply now, and why. For whoever may call.

import { createRoute, z } from '@hono/zod-openapi'
import { GatewayFault } from '../fault.ts'
import { callerRefusal } from '../gateway/provision.ts'
import { refusalError } from '../middleware/refusal-error.ts'
import { IN_FORCE_AFTER_MS } from '../pricing/overrides.ts'
import type { Explanation, PriceBook } from '../pricing/price-book.ts'
import { answers, callerSecurity, problems, restApp } from '../rest/app.ts'
import { noQuery } from '../rest/fields.ts'
import type { Deps } from '../rest/in-force.ts'
import { providerFault } from '../rest/known-provider.ts'
import { amountsOfPrice, appliedView } from '../rest/prices.ts'
import type { UsageCaller } from '../rest/status.ts'

const version = z.object({ id: z.guid(), effective_from: z.iso.datetime() }).nullable()

const explanationSchema = z
  .object({
    provider: z.string(),
    model: z.string(),
    price: z
      .object(amountsOfPrice)
      .nullable()
      .openapi({ description: 'Null where there is none: refused under a cost cap, else recorded with a cost of 0.' }),
    priced_as: z.string().nullable().openapi({ description: 'As events name it.' }),
    price_source: z.string().nullable().openapi({ description: 'As events name it.' }),
    source: z.enum(['override', 'configuration', 'catalogue', 'none', 'overrides_unknown']),
    override: version.openapi({ description: 'The price of /admin/prices that applies.' }),
    next_override: version.openapi({ description: 'The one that will apply next.' }),
    explanation: z.string(),
  })
  .openapi('PriceExplanation')

const explain = createRoute({
  method: 'get',
  path: '/{provider}/{model}',
  operationId: 'getAppliedPrice',
  tags: ['prices'],
  security: callerSecurity,
  summary: 'The price of a model that would apply now, and why',
  request: {
    params: z.object({
      provider: z.string(),
      model: z.string().min(1).max(500).openapi({ description: 'A slash may stand as it is or as %2F.' }),
    }),
    query: noQuery,
  },
  responses: { 200: answers(explanationSchema, 'The price, or that there is none'), ...problems(404) },
})

/** Takes ids with slashes, too (`@cf/meta/llama-3`), which no path of an OpenAPI document can say. */
const explainAnyId = createRoute({ ...explain, path: '/:provider{[^/]+}/:model{.+}', hide: true })

export interface PriceRouteDeps extends Deps {
  prices: PriceBook
  /** Names of the providers that a price may be of. */
  providers: readonly string[]
}

/**
 * Expects `c.var.caller` from `authenticate`.
 *
 * @example
 * ```ts
 * app.use('/prices/*', authenticate({ keys, jwt: null }))
 * app.route('/prices', appliedPriceRoutes({ prices, providers: ['openai'], db, ledgerOf }))
 * ```
 */
export function appliedPriceRoutes({ prices, providers, ...deps }: PriceRouteDeps) {
  const app = restApp<{ caller: UsageCaller }>()
  app.openAPIRegistry.registerPath(explain)
  return app.openapi(explainAnyId, async (c) => {
    const { provider, model } = c.req.valid('param')
    await refuseInvalid(deps, c.var.caller, c.get('request_id'))
    const fault = providerFault(provider, providers)
    if (fault) throw new GatewayFault({ code: 'not_found', message: `provider: ${fault.message}`, field: 'provider' })
    return c.json(explanationView(provider, model, await prices.explain(provider, model)), 200)
  })
}

/** Any valid key may ask, whatever its scope; so may a subject that is not a user yet. */
async function refuseInvalid(deps: Deps, caller: UsageCaller, request_id: string | undefined): Promise<void> {
  const refusal = await callerRefusal(deps, caller, request_id)
  if (refusal && refusal.reason !== 'missing_scope') throw new GatewayFault(refusalError(refusal))
}

function explanationView(provider: string, model: string, { price, source, override, next }: Explanation) {
  return {
    provider,
    model,
    price: price && appliedView(price),
    priced_as: price?.priced_as ?? null,
    price_source: price?.price_source ?? null,
    source,
    override: override && versionView(override),
    next_override: next && versionView(next),
    explanation: `${wordsFor(source, price?.priced_as)} ${CHANGES}`,
  }
}

const versionView = ({ id, effective_from }: { id: string; effective_from: number }) => ({
  id,
  effective_from: new Date(effective_from).toISOString(),
})

/** For admins who have just set a price and do not see it yet. */
const CHANGES = `A change at /admin/prices is in force within ${IN_FORCE_AFTER_MS / 60_000} minutes, by the time in the tollgate-in-force-by header of its answer.`

const WITHOUT_PRICE = 'Under a cost cap its calls are refused; else they are allowed and recorded with a cost of 0.'

function wordsFor(source: Explanation['source'], priced_as = ''): string {
  switch (source) {
    case 'override':
      return 'An administrator has set this price for exactly this model.'
    case 'configuration':
      return 'The configuration fixes this price.'
    case 'catalogue':
      return `This is the price of ${priced_as} in the catalogue; no override applies.`
    case 'none':
      return `No price of this model is known. ${WITHOUT_PRICE} An administrator can set one at /admin/prices.`
    case 'overrides_unknown':
      return `The prices that administrators have set cannot be read now, so no price is certain. ${WITHOUT_PRICE}`
  }
}
