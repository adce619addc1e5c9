// A worker whose variables are wrong opens to nobody, and says which one it is.

import { expect, onTestFinished, test } from 'vitest'
import { checkBooks, eventRowsOf } from '../support/books.ts'
import { failure, openaiOf } from '../support/client-calls.ts'
import { ADMIN_TOKEN, eventually, startGateway } from '../support/gateway.ts'
import { amount, ask, settlement } from '../support/ledger-fixtures.ts'

test('every request is answered with a 503 that names the variable, never its value, and so is the log', async () => {
  const logs: string[] = []
  const vars = { DATABASE_URL: 'postgresql://u:S3CRET@h', CAP_STATUS: '500' }
  const gateway = await startGateway({ vars, onLog: (message) => logs.push(message) })
  onTestFinished(() => gateway.close())
  for (const [method, path] of [
    ['GET', '/'],
    ['GET', '/admin/users'],
    ['POST', '/openai/v1/chat/completions'],
  ] as const) {
    const answer = await fetch(gateway.url + path, { method, headers: { authorization: `Bearer ${ADMIN_TOKEN}` } })
    const problem = await answer.text()
    expect(answer.status, path).toBe(503)
    expect(answer.headers.get('content-type')).toBe('application/problem+json')
    expect(JSON.parse(problem)).toMatchObject({
      code: 'not_configured',
      detail: expect.stringMatching(/^Tollgate is not configured. DATABASE_URL: .*; CAP_STATUS: /),
      request_id: answer.headers.get('x-tollgate-request-id'),
    })
    expect(problem).not.toContain('S3CRET')
  }
  expect(gateway.provider.requests).toHaveLength(0)
  expect(logs.join()).toContain('CAP_STATUS: must be 402, 403 or 429')
  expect(logs.join()).not.toContain('S3CRET')
})

test('an official client raises that 503 once, however much it sends', async () => {
  const gateway = await startGateway({ vars: { CAP_STATUS: '500' }, onLog: () => undefined })
  onTestFinished(() => gateway.close())
  const { client, attempts } = openaiOf(gateway, 'tg_any')
  // Only now and then does an answer that does not wait for such an upload break its connection.
  const contents = ['hello', ...Array.from({ length: 4 }, () => 'x'.repeat(18_000_000))]
  for (const content of contents) {
    const body = { model: 'gpt-4o-mini', messages: [{ role: 'user' as const, content }] }
    const error = await failure(client.chat.completions.create(body))
    expect(error).toMatchObject({
      status: 503,
      message: expect.stringContaining('CAP_STATUS: must be 402, 403 or 429'),
    })
  }
  expect(attempts).toHaveLength(contents.length)
})

test('a wrong variable loses no call that is under way: its ledger admits nobody, takes what has ended and keeps it', async () => {
  const gateway = await startGateway({ onLog: () => undefined })
  onTestFinished(() => gateway.close())
  const { id } = await gateway.admin.user([{ cap_type: 'total', limits: { requests: 100 } }])
  const draft = { ...ask('').draft, user_id: id }
  const hold = amount({ requests: 1, input_tokens: 7 })
  await gateway.restart({ DATABASE_URL: 'postgresql://nothing' })
  const ledger = await gateway.ledgerOf(id)
  const ended = settlement(crypto.randomUUID(), Date.now(), { draft, hold, usage: hold })
  await ledger.settle(ended)
  await expect(ledger.reserve(ask(crypto.randomUUID(), { draft }))).rejects.toThrow()

  // Nobody asks the ledger: its alarm alone brings the event.
  await gateway.restart()
  const events = await eventually(
    () => eventRowsOf(gateway, [id]),
    ({ length }) => length === 1,
  )
  expect(events).toMatchObject([{ id: ended.request_id, outcome: 'settled', ...hold }])
  await checkBooks(gateway, [id])
})
