// Lives of a ledger to try its model with: caps, a time zone, a past, and steps with or without a crash.

import fc from 'fast-check'
import { CAP_TYPES, type Cap, KEY_SCOPES, USER_STATUSES } from '../../../durable-objects/ledger/types.ts'
import { START } from './model-history.ts'
import { CALL_STATES, WAITED_FOR } from './model-life.ts'
import { POSTGRES_STATES } from './model-postgres.ts'

const minutes = (least: number, most: number) => fc.integer({ min: least, max: most }).map((it) => it * 60_000)

const wideOf = (wide: number) => fc.integer({ min: wide / 2, max: wide })

const capsOf = (limitOf: (tight: number, wide: number) => fc.Arbitrary<number>) => {
  const limit = (tight: number, wide: number) => fc.option(limitOf(tight, wide), { nil: undefined })
  return fc
    .uniqueArray(
      fc.record({
        id: fc.uuid(),
        cap_type: fc.constantFrom(...CAP_TYPES),
        limits: fc
          .record({ requests: limit(12, 600), tokens: limit(4_000, 400_000), cost: limit(5_000_000, 2_000_000_000) })
          .map((limits) => Object.fromEntries(Object.entries(limits).filter(([, limit]) => limit !== undefined))),
        on_exceed: fc.constantFrom<Cap['on_exceed']>('clamp', 'refuse'),
      }),
      { selector: (cap) => cap.cap_type, maxLength: 4 },
    )
    .map((list): Cap[] => list)
}

/** Wide ones, under which there is a ceiling, and some that are tight, where every hold is written. */
const caps = fc.oneof(
  { weight: 3, arbitrary: capsOf((_, wide) => wideOf(wide)) },
  { weight: 2, arbitrary: capsOf((tight, wide) => fc.oneof(fc.nat(tight), wideOf(wide), wideOf(wide))) },
)

const timeZone = fc.constantFrom('UTC', 'Europe/Berlin', 'America/New_York', 'Asia/Kathmandu', 'Australia/Lord_Howe')

/** Mostly known. */
const orNull = <T>(known: fc.Arbitrary<T>) => fc.option(known, { freq: 20 })

const output = fc.record({
  max_tokens: orNull(fc.oneof(fc.constantFrom(16, 500, 4_000), fc.integer({ min: 1, max: 2_000 }))),
  min_tokens: fc.integer({ min: 1, max: 64 }),
  choices: fc.integer({ min: 1, max: 3 }),
  nano_usd_per_mtok: orNull(fc.constantFrom(0, 600_000_000, 75_000_000_000)),
})

const KEYS = ['good', 'good', 'for-a-day', 'revoked']
/** Mostly a user in good standing. */
const standing = {
  caps,
  time_zone: timeZone,
  status: fc.oneof({ weight: 8, arbitrary: fc.constant('active' as const) }, fc.constantFrom(...USER_STATUSES)),
  keys: fc.boolean().map((calls) => [
    { id: 'good', expires_at: null, scopes: calls ? [...KEY_SCOPES] : ['usage' as const] },
    { id: 'for-a-day', expires_at: START + 24 * 60 * 60_000, scopes: [...KEY_SCOPES] },
  ]),
}

/** Which call, and of which: those that a crash took and those that have expired are few. */
const which = fc.record({ of: fc.constantFrom(...CALL_STATES), call: fc.nat() })

/** What a call used, as a part of its hold; null: unknown. */
const used = {
  share: fc.constantFrom(0, 0.5, 1, null),
  overrun: fc.boolean(),
}

const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('reserve' as const),
      // Many at a time and much alike: that is when a ceiling is of use.
      times: fc.integer({ min: 1, max: 4 }),
      requests: fc.constantFrom(1, 1, 1, 1, 0, 20),
      input_tokens: orNull(fc.oneof(fc.constantFrom(0, 100, 5_000), fc.nat(500))),
      input_cost_nano_usd: orNull(fc.oneof(fc.constantFrom(0, 50_000), fc.nat(300_000))),
      key_id: fc.oneof({ weight: 4, arbitrary: fc.constant(null) }, fc.constantFrom(...KEYS)),
      output: fc.option(output),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('repeat' as const), call: fc.nat() }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('ask' as const), which }) },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('settle' as const),
      calls: fc.array(which, { minLength: 1, maxLength: 4 }),
      ...used,
      release: fc.boolean(),
      // Few ids, so that calls meet at one; or the id of another call.
      continues: fc.option(
        fc.record({
          as: fc.nat(11),
          for_ms: fc.oneof(minutes(1, 60), minutes(1, 60 * 48)),
          isAsked: fc.boolean(),
        }),
      ),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('settle unknown' as const), release: fc.boolean(), repeats: fc.boolean() }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('conclude' as const),
      calls: fc.array(which, { minLength: 1, maxLength: 4 }),
      ...used,
      isPriced: fc.boolean(),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant('wait' as const), ms: fc.oneof(fc.nat(1_500), minutes(1, 90)) }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('wait for' as const),
      what: fc.constantFrom(...WAITED_FOR),
      isEarly: fc.boolean(),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('jump' as const), ms: minutes(-60 * 24 * 40, 60 * 24 * 40) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('expire' as const) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('overdue' as const), isAwaited: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('prune' as const), others: fc.boolean() }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('configure' as const),
      as: fc.constantFrom('new', 'new', 'new', 'new', 'same', 'older', 'none'),
      ...standing,
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('write refusals' as const) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('drain' as const) }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('postgres' as const), is: fc.constantFrom(...POSTGRES_STATES) }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('write' as const),
      which: fc.constantFrom('all' as const, 'aged' as const),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('rest' as const), isWritten: fc.boolean() }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('restart' as const) }) },
)

/** A statement fails: the object dies with it, or only the verb does and the object lives on. */
const crash = fc.record({ at: fc.nat(10), dies: fc.boolean(), after: fc.boolean() })

export const life = fc.record({
  ...standing,
  old: fc.constantFrom(true, false, false, false),
  steps: fc.array(fc.record({ step, crash: fc.option(crash, { freq: 3 }) }), { maxLength: 60, size: 'max' }),
})
