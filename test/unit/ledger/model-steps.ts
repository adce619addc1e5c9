// Lives of a ledger to try its model with: caps, a time zone, and steps with or without a crash.

import fc from 'fast-check'
import { CAP_TYPES, type Cap } from '../../../durable-objects/ledger/types.ts'

const minutes = (least: number, most: number) => fc.integer({ min: least, max: most }).map((it) => it * 60_000)

const wideOf = (wide: number) => fc.integer({ min: wide / 2, max: wide })
/** Tight ones, where every hold is written, and wide ones, under which there is a ceiling. */
const limitUpTo = (tight: number, wide: number) =>
  fc.option(fc.oneof(fc.nat(tight), wideOf(wide), wideOf(wide)), { nil: undefined })

const caps = fc
  .uniqueArray(
    fc.record({
      id: fc.uuid(),
      cap_type: fc.constantFrom(...CAP_TYPES),
      limits: fc
        .record({
          requests: limitUpTo(12, 600),
          tokens: limitUpTo(4_000, 400_000),
          cost: limitUpTo(5_000_000, 2_000_000_000),
        })
        .map((limits) => Object.fromEntries(Object.entries(limits).filter(([, limit]) => limit !== undefined))),
      on_exceed: fc.constantFrom<Cap['on_exceed']>('clamp', 'refuse'),
    }),
    { selector: (cap) => cap.cap_type, maxLength: 4 },
  )
  .map((list): Cap[] => list)

const timeZone = fc.constantFrom('UTC', 'Europe/Berlin', 'America/New_York', 'Asia/Kathmandu', 'Australia/Lord_Howe')

const output = fc.record({
  max_tokens: fc.oneof(fc.constantFrom(16, 500), fc.integer({ min: 1, max: 2_000 })),
  min_tokens: fc.integer({ min: 1, max: 64 }),
  choices: fc.integer({ min: 1, max: 3 }),
  nano_usd_per_mtok: fc.constantFrom(0, 600_000_000, 75_000_000_000),
})

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
      input_tokens: fc.oneof(fc.constantFrom(0, 100, 5_000), fc.nat(500)),
      input_cost_nano_usd: fc.oneof(fc.constantFrom(0, 50_000), fc.nat(300_000)),
      output: fc.option(output),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('repeat' as const), call: fc.nat() }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('ask' as const), call: fc.nat() }) },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('settle' as const),
      calls: fc.array(fc.nat(), { minLength: 1, maxLength: 4 }),
      ...used,
      release: fc.boolean(),
      // Few ids, so that calls meet at one; or the id of another call.
      continues: fc.option(fc.record({ as: fc.nat(11), for_ms: minutes(1, 60 * 48) })),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('conclude' as const),
      calls: fc.array(fc.record({ goesOn: fc.boolean(), call: fc.nat() }), { minLength: 1, maxLength: 4 }),
      ...used,
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('wait' as const), ms: fc.oneof(fc.nat(1_500), minutes(1, 90)) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('jump' as const), ms: minutes(-60 * 24 * 40, 60 * 24 * 40) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('expire' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('prune' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('configure' as const), caps, time_zone: timeZone }) },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('write' as const),
      which: fc.constantFrom('all' as const, 'aged' as const),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('rest' as const) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('restart' as const) }) },
)

/** A statement fails: the object dies with it, or only the verb does and the object lives on. */
const crash = fc.record({ at: fc.nat(8), dies: fc.boolean(), after: fc.boolean() })

export const life = fc.record({
  caps,
  time_zone: timeZone,
  steps: fc.array(fc.record({ step, crash: fc.option(crash, { freq: 3 }) }), { maxLength: 60, size: 'max' }),
})
