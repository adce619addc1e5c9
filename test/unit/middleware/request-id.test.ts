import { Hono } from 'hono'
import { expect, test } from 'vitest'
import { requestId } from '../../../src/middleware/request-id.ts'

let made = 0
const ids = requestId(() => `id-${++made}`)

test('a request has one id, also where an app and the one inside it both give them', async () => {
  const inner = new Hono().get('/', ids, (c) => c.text(c.var.request_id))
  const app = new Hono()
  app.use(ids)
  app.route('/inner', inner)
  for (const _ of [1, 2]) {
    const answer = await app.request('/inner')
    // What the call is recorded under is what its client is told.
    const id = await answer.text()
    expect([id, answer.headers.get('x-tollgate-request-id')]).toEqual([`id-${made}`, id])
  }
})

test('an id that was there already, as of what the client has sent, is not taken over', async () => {
  const app = new Hono<{ Variables: { request_id: string } }>()
  app.use(async (c, next) => {
    c.set('request_id', c.req.header('x-request-id') ?? '')
    await next()
  })
  app.get('/', ids, (c) => c.text(c.var.request_id))
  const answer = await app.request('/', { headers: { 'x-request-id': 'mine' } })
  expect(await answer.text()).toBe(`id-${made}`)
})

test('a handler that returns no answer stays a fault: its request is not answered with an empty 200', async () => {
  const app = new Hono()
  app.get('/', ids, () => undefined as unknown as Response)
  app.onError(({ message }, c) => c.text(message, 500))
  expect(await (await app.request('/')).text()).toContain('Context is not finalized')
})
