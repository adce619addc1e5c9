// The REST routes under /admin. Who may call them is decided before they are reached.

import { bodyLimit } from 'hono/body-limit'
import { GatewayFault } from '../fault.ts'
import { urlOf } from '../request-url.ts'
import { restApp } from '../rest/app.ts'
import { endedEarly } from '../rest/invalid-request.ts'
import { strictJson } from '../rest/strict-json.ts'
import { capRoutes } from './caps.ts'
import { defaultCapRoutes } from './default-caps.ts'
import type { AdminDeps } from './deps.ts'
import { keyRoutes } from './keys.ts'
import { priceRoutes } from './prices.ts'
import { MOST_CSV_BYTES, priceCsvRoutes } from './prices-csv.ts'
import { usageRoutes } from './usage.ts'
import { userRoutes } from './users.ts'

const MOST_BODY_BYTES = 64 * 1024

/**
 * Users, keys, caps, default caps, prices and usage events. When a change has been answered, it is in force
 * (a price: as its answer says).
 *
 * @example
 * ```ts
 * app.use('/admin/*', requireAdmin({ adminToken: env.ADMIN_TOKEN, jwt: null }))
 * app.route('/admin', adminRoutes({ db, ledgerOf, keys, now: Date.now, newId, priceStore: null, providers: ['openai'] }))
 * ```
 */
export function adminRoutes(deps: AdminDeps) {
  const app = restApp()
  const limitedTo = (maxSize: number) =>
    bodyLimit({
      maxSize,
      onError: () => {
        throw new GatewayFault({ code: 'payload_too_large', message: `The body has more than ${maxSize} bytes.` })
      },
    })
  const limited = limitedTo(MOST_BODY_BYTES)
  const limitedCsv = limitedTo(MOST_CSV_BYTES)
  app.use(async function limitBody(c, next) {
    // Nobody reads the body of a GET. Hono would copy it into a new request, and a GET cannot be made with a body.
    if (c.req.method === 'GET' || c.req.method === 'HEAD') return next()
    // Refuses an invalid URL, from which no new request could be made once the body is read.
    urlOf(c.req.raw)
    const isCsv = c.req.path.endsWith('/prices/csv')
    let isRead = false
    try {
      return await (isCsv ? limitedCsv : limited)(c, async () => {
        isRead = true
        await (isCsv ? next() : strictJson(c, next))
      })
    } catch (error) {
      throw isRead || error instanceof GatewayFault ? error : endedEarly(error)
    }
  })
  app.route('/', userRoutes(deps))
  app.route('/', keyRoutes(deps))
  app.route('/', capRoutes(deps))
  app.route('/', defaultCapRoutes(deps))
  app.route('/', usageRoutes(deps))
  // The fixed path first: `csv` is no id.
  app.route('/', priceCsvRoutes(deps))
  app.route('/', priceRoutes(deps))
  return app
}
