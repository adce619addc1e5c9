// The ledger against a model that keeps every call in a list and adds them up. Random lives: racing calls, settlements
// lost, repeated, late and together, calls that go on and are concluded, caps changed, clocks moved, crashes at any
// statement and between any two verbs, with holds that are in memory alone. Promises are checked after every step.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { ask, snapshot } from '../../support/ledger-fixtures.ts'
import { Life } from './model-life.ts'
import { life } from './model-steps.ts'
import { conclude, continuationOf, GOES_ON, mayGoOn, reserve, settleAll, usageOf } from './model-verbs.ts'

test('no cap is exceeded, and nothing is lost or counted twice, whatever happens', () => {
  let id = 0
  fc.assert(
    fc.property(life, ({ caps, time_zone, steps }) => {
      const life = new Life(snapshot(caps, { time_zone }))
      for (const { step, crash } of steps) {
        const ids = [...life.calls.keys()]
        const pick = (index: number) => ids[index % Math.max(ids.length, 1)]
        switch (step.do) {
          case 'reserve': {
            const { times, requests, input_tokens, input_cost_nano_usd, output } = step
            for (let i = 0; i < times; i++) {
              const asked = ask(`call-${id++}`, { requests, input_tokens, input_cost_nano_usd, output })
              life.asks.push(asked)
              reserve(life, asked, i === times - 1 ? crash : null)
            }
            break
          }
          case 'repeat': {
            const asked = life.asks.find(({ request_id }) => request_id === pick(step.call))
            const call = asked && life.calls.get(asked.request_id)
            if (!asked || !call) break
            // Who has had the answer of a call that a crash took does not ask for it again.
            const decision = life.run(() => call.lost_until ?? life.ledger.reserve(asked, life.now), crash)
            if (call.lost_until === null && typeof decision === 'object')
              expect(decision).toMatchObject({ admitted: true, reserved_at: call.reserved_at, hold: expect.anything() })
            break
          }
          case 'ask': {
            const id = pick(step.call)
            if (id) mayGoOn(life, id, crash)
            break
          }
          case 'settle': {
            const picked = step.calls.flatMap((index) => pick(index) ?? [])
            const outcome = step.release ? 'released' : 'settled'
            settleAll(life, picked, usageOf(step), { outcome, continues: continuationOf(life, step.continues) }, crash)
            break
          }
          case 'conclude': {
            const goOn = ids.filter((id) => id.startsWith(GOES_ON))
            const picked = step.calls.map(({ goesOn, call }) => {
              const among = [...(goesOn ? goOn : ids), 'unknown']
              return among[call % among.length] ?? 'unknown'
            })
            conclude(life, picked, usageOf(step), crash)
            break
          }
          case 'wait':
          case 'jump':
            life.moveClock(step.ms)
            break
          case 'expire':
            life.run(() => life.ledger.expire(life.now), crash)
            for (const { charged, expires_at, lost_until } of life.calls.values()) {
              expect(charged !== null || lost_until !== null || expires_at > life.now).toBe(true)
            }
            break
          case 'prune':
            life.run(() => life.ledger.prune(life.now), crash)
            break
          case 'configure': {
            const { caps, time_zone } = step
            const next = snapshot(caps, { time_zone, version: life.config.version + 1 })
            life.run(() => life.ledger.configure(next, life.now), crash)
            life.config = next
            break
          }
          case 'write':
            life.run(() => life.ledger.writeHolds(step.which), crash)
            if (step.which === 'all') expect(life.unwritten()).toEqual([])
            break
          case 'rest':
            life.run(() => life.ledger.rest(), crash)
            expect(life.ceiling() === null).toBe(life.ledger.isAtRest)
            if (life.unwritten().length === 0) expect(life.ceiling()).toBeNull()
            break
          case 'restart':
            life.die(crash)
        }
        life.check()
      }
      life.sql.close()
    }),
    { numRuns: 1_000 },
  )
}, 300_000)
