// The ledger and its outbox against a model that keeps every call in a list and adds them up. Random lives: racing calls,
// settlements lost, repeated, late and together, calls that go on, are overdue and concluded, caps and callers changed, clocks
// moved, Postgres slow or down, much that is forgotten, crashes at any statement and between any two verbs, with holds that
// are in memory alone. Promises are checked after every step.

import fc from 'fast-check'
import { expect, onTestFinished, test, vi } from 'vitest'
import { ask, DRAFT, snapshot } from '../../support/ledger-fixtures.ts'
import { mayGoOn, reserve } from './model-admission.ts'
import { conclude, continuationOf, expire, settleAll, settleUnknown, takeOverdue, usageOf } from './model-endings.ts'
import { type CALL_STATES, Life } from './model-life.ts'
import { life } from './model-steps.ts'

test('no cap is exceeded, and nothing is lost or counted twice, whatever happens', async () => {
  // Each event that waits would be a line.
  const warn = vi.spyOn(console, 'warn').mockImplementation(() => undefined)
  onTestFinished(() => warn.mockRestore())
  let id = 0
  await fc.assert(
    fc.asyncProperty(life, async ({ old, steps, ...standing }) => {
      let version = 2
      const life = new Life(snapshot([], { ...standing, version }), old)
      for (const { step, crash } of steps) {
        const pick = ({ of, call }: { of: (typeof CALL_STATES)[number]; call: number }) => {
          const among = life.callsThat(of)
          return among[call % Math.max(among.length, 1)] ?? 'unknown'
        }
        switch (step.do) {
          case 'reserve': {
            const { times, requests, input_tokens, input_cost_nano_usd, key_id, output } = step
            const caller = { key_id, scope: 'call' as const }
            for (let i = 0; i < times; i++) {
              const request_id = `call-${id++}`
              const draft = { ...DRAFT, request_model: request_id }
              const asked = ask(request_id, { requests, input_tokens, input_cost_nano_usd, output, caller, draft })
              life.asks.push(asked)
              reserve(life, asked, i === times - 1 ? crash : null)
            }
            break
          }
          case 'repeat': {
            const asked = life.asks.find(({ request_id }) => request_id === pick({ of: 'all', call: step.call }))
            const call = asked && life.calls.get(asked.request_id)
            // Nobody asks again for a call that was long ago.
            if (!asked || !call || life.isForgotten(asked.request_id)) break
            // Who has had the answer of a call that a crash took does not ask for it again.
            const decision = life.run(() => call.lost_until ?? life.ledger.reserve(asked, life.now), crash)
            if (call.lost_until !== null || typeof decision !== 'object') break
            const { reserved_at, charged, hold } = call
            expect(decision).toMatchObject({ admitted: true, reserved_at, hold: charged ?? hold })
            break
          }
          case 'ask':
            mayGoOn(life, pick(step.which), crash)
            break
          case 'settle': {
            const picked = step.calls.map(pick)
            const outcome = step.release ? 'released' : 'settled'
            settleAll(life, picked, usageOf(step), { outcome, continues: continuationOf(life, step.continues) }, crash)
            break
          }
          case 'settle unknown': {
            const unknown = `call-${id++}`
            for (let times = step.repeats ? 2 : 1; times > 0; times--) {
              settleUnknown(life, unknown, step.release ? 'released' : 'settled', crash)
            }
            break
          }
          case 'conclude':
            conclude(life, step.calls.map(pick), usageOf(step), step.isPriced, crash)
            break
          case 'wait':
          case 'jump':
            life.moveClock(step.ms)
            break
          case 'wait for':
            life.waitFor(step.what, step.isEarly)
            break
          case 'expire':
            expire(life, crash)
            break
          case 'overdue':
            if (step.isAwaited) life.waitFor('overdue', false)
            takeOverdue(life, crash)
            break
          case 'prune':
            if (step.others) life.endOthers()
            life.run(() => life.ledger.prune(life.now), crash)
            break
          case 'configure': {
            const { as, do: _, ...standing } = step
            if (as === 'new') version += 1
            const next = as === 'none' ? null : snapshot([], { ...standing, version: as === 'older' ? 1 : version })
            life.run(() => {
              const taken = life.ledger.configure(next, life.now)
              if (!next || !life.config || next.version >= life.config.version) life.config = next
              expect(taken).toBe(life.config?.version ?? 0)
            }, crash)
            break
          }
          case 'write':
            life.run(() => life.ledger.writeHolds(step.which), crash)
            if (step.which === 'all') expect(life.unwritten()).toEqual([])
            break
          case 'write refusals':
            life.run(() => life.ledger.writeRefusals(life.now), crash)
            expect(life.ledger.areRefusalsWritten).toBe(true)
            break
          case 'rest':
            if (step.isWritten) life.ledger.writeHolds('all')
            life.run(() => {
              life.ledger.rest()
              life.outbox.forgetDelivered()
            }, crash)
            expect(life.ceiling() === null).toBe(life.ledger.isAtRest)
            if (life.unwritten().length === 0) expect(life.ceiling()).toBeNull()
            break
          case 'drain':
            await life.drain(crash)
            break
          case 'postgres':
            life.postgres.state = step.is
            break
          case 'restart':
            life.die(crash)
        }
        life.check()
      }
      await life.end()
    }),
    { numRuns: 1_000 },
  )
}, 300_000)
