// Every dialect where it is the client's side that ends a call: it goes away, and its answer is read on and charged as
// reported; or what lets it call is withdrawn, and its stream ends with the provider's own error event.

import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Script, Step } from '../../src/local/fake-script.ts'
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

describe.concurrent.each(STREAMED)('$name', (subject) => {
  test.each([amid, ...withdrawn])('$name', (fault) => stage.play(subject, fault))
})
describe.concurrent.each(SUBJECTS)('$name', (subject) => {
  test(before.name, () => stage.play(subject, before))
})
