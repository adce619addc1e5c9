// GET /openapi.json: the OpenAPI 3.1 document of the REST routes, made of the schemas that validate.

import { OpenAPIHono } from '@hono/zod-openapi'
import { Hono } from 'hono'
import type { appliedPriceRoutes } from '../usage/prices.ts'
import type { usageRoutes } from '../usage/routes.ts'
import type { adminRoutes } from './routes.ts'

const INFO = {
  title: 'Tollgate',
  version: '1',
  description: 'Users, keys, caps, prices and usage of the gateway.',
  license: { name: 'MIT', identifier: 'MIT' },
}

const SECURITY_SCHEMES = {
  bearer: {
    type: 'http',
    scheme: 'bearer',
    description:
      '`Authorization: Bearer`. /admin: the admin token or a JWT with the admin role; /usage and /prices: a key or a JWT.',
  },
  'x-api-key': {
    type: 'apiKey',
    in: 'header',
    name: 'x-api-key',
    description: 'Under /usage and /prices: a key or a JWT.',
  },
  'x-tollgate-key': {
    type: 'apiKey',
    in: 'header',
    name: 'x-tollgate-key',
    description: 'Under /usage and /prices: a key or a JWT.',
  },
} as const

export interface RestRoutes {
  admin: ReturnType<typeof adminRoutes>
  usage: ReturnType<typeof usageRoutes>
  prices: ReturnType<typeof appliedPriceRoutes>
}

/**
 * @example
 * ```ts
 * app.route('/', openApiRoutes({ admin, usage, prices }))
 * ```
 */
export function openApiRoutes({ admin, usage, prices }: RestRoutes): Hono {
  const rest = new OpenAPIHono()
  rest.route('/admin', admin)
  rest.route('/usage', usage)
  rest.route('/prices', prices)
  for (const [name, scheme] of Object.entries(SECURITY_SCHEMES))
    rest.openAPIRegistry.registerComponent('securitySchemes', name, scheme)
  let document: object | undefined
  return new Hono().get('/openapi.json', (c) => {
    document ??= rest.getOpenAPI31Document({
      openapi: '3.1.0',
      info: INFO,
      servers: [{ url: '/' }],
      security: [{ bearer: [] }],
    })
    return c.json(document)
  })
}
