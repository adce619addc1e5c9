// Every dialect where it is the client's side that ends a call: it goes away, and its answer is read on and charged as
// reported; or what lets it call is withdrawn, and its stream ends with the provider's own error event.

import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import type { Script, Step } from '../../src/local/fake-script.ts'
import { bodyOf, onlyEvent } from '../support/client-calls.ts'
import { errorEvent, failure } from '../support/fault-sights.ts'
import { type Cell, type Fault, type Stage, startStage } from '../support/fault-stage.ts'
import { STREAMED, SUBJECTS } from '../support/fault-subjects.ts'

let stage: Stage
beforeAll(async () => {
  stage = await startStage()
})
afterAll(() => stage.close())

const left = { charged: 'reported', upstream: 'sent' } as const

/** Goes on when the client is gone. */
const onceLeft = ({ over }: Cell): Step => ({
  until: over.then(() => sleep(100)),
})

const before: Fault = {
  ...left,
  name: 'a client gone before the first byte',
  sees: failure,
  sends: (usual, _, cell) => ({ ...usual, steps: [onceLeft(cell), ...usual.steps] }),
  asked: (cell) => cell.leave(),
  event: { status: 200 },
}
const amid: Fault = {
  ...left,
  name: 'a client gone mid-stream',
  sees: ({ said }, _, usual) => expect(said).not.toBe(usual.said),
  sends: (usual, _, cell) => ({ ...usual, steps: usual.steps.toSpliced(4, 0, onceLeft(cell)) }),
  piece: (cell) => cell.leave(),
  event: { status: 200, error_class: 'client_gone' },
}

/** An answer of ten seconds. */
const dripping = (usual: Script): Script => {
  const delay_ms = 10_000 / usual.steps.length
  return { ...usual, steps: usual.steps.flatMap((step) => [step, { delay_ms }]) }
}

const change = (method: string, path: string, body?: object) => async (cell: Cell) => {
  const user = `/admin/users/${cell.user.id}`
  const one = async (list: string) => (await cell.at.admin.call<{ data: { id: string }[] }>('GET', user + list)).data[0]
  const [key, cap] = await Promise.all([one('/keys'), one('/caps')])
  const at = path.replace('KEY', String(key?.id)).replace('CAP', String(cap?.id))
  return cell.at.admin.call(method, user + at, body)
}

const changes: [string, (cell: Cell) => Promise<unknown>][] = [
  ['a key that is revoked', change('DELETE', '/keys/KEY')],
  ['a user who is suspended', change('POST', '/suspend')],
  ['a cap that is lowered to nothing', change('PATCH', '/caps/CAP', { limits: { tokens: 0 } })],
]
const withdrawn = changes.map(
  ([name, asked]): Fault => ({
    name: `${name} mid-stream`,
    sends: dripping,
    asked,
    sees: errorEvent(/withdrawn/, 'withdrawn'),
    charged: 'hold',
    event: { status: 200, error_class: 'no_longer_allowed' },
    upstream: 'client_gone',
  }),
)

const RESET = 'reset before the first byte'

test.each([
  ['openai', '/openai/v1/chat/completions', {}],
  ['openai', '/v1/chat/completions', { model: 'openai/gpt-4o-mini' }],
  ['anthropic', '/anthropic/v1/messages', {}],
] as const)(
  'a client of %s that resets its connection before the first byte of %s pays what the whole answer reports',
  async (provides, path, named) => {
    const { at } = stage
    const { id, key } = await at.admin.user()
    const { hostname, port, host } = new URL(at.url)
    const client = connect(Number(port), hostname)
    const reset = new Promise((resolve) => client.once('close', resolve))
    const body = JSON.stringify(
      bodyOf(provides, { stream: true, ...named, messages: [{ role: 'user', content: RESET }] }),
    )
    const { provider } = at
    const others = provider.reply
    onTestFinished(() => {
      provider.reply = others
    })
    provider.reply = (request, usual) => {
      if (!request.body.includes(RESET)) return others?.(request, usual)
      client.resetAndDestroy()
      return { ...usual(), steps: [{ until: reset.then(() => sleep(100)) }, ...usual().steps] }
    }
    const head = [
      `POST ${path} HTTP/1.1`,
      `Host: ${host}`,
      `Authorization: Bearer ${key}`,
      'anthropic-version: 2023-06-01',
      'Content-Type: application/json',
      `Content-Length: ${body.length}`,
    ]
    client.write(`${head.join('\r\n')}\r\n\r\n${body}`)
    expect(await onlyEvent(at, id)).toMatchObject({ status: 200, usage_source: 'reported', error_class: 'client_gone' })
  },
)

describe.concurrent.each(STREAMED)('$name', (subject) => {
  test.each([amid, ...withdrawn])('$name', (fault) => stage.play(subject, fault))
})
describe.concurrent.each(SUBJECTS)('$name', (subject) => {
  test(before.name, () => stage.play(subject, before))
})
