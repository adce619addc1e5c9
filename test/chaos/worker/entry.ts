// The worker as it is, with more doors: to move its clock, to make its network bad, to take a ledger's memory, and to settle
// many calls from within.

import type { Settlement } from '../../../durable-objects/ledger/types.ts'
import tollgate, { UsageLedger as Ledger } from '../../../src/index.ts'
import { callId } from './call-id.ts'
import { moveClock, trueInstant, trueNow } from './clock.ts'
import { overNetwork, setNetwork } from './network.ts'

/** An alarm rings at least this often, to see whether its time has come by a clock that was moved meanwhile. */
const LONGEST_SLEEP_MS = 1_000

/** A ledger whose alarms follow the moved clock. They may ring early, because each looks at what is due. */
export class UsageLedger extends Ledger {
  constructor(ctx: DurableObjectState, env: Env) {
    const { storage } = ctx
    const { setAlarm } = storage
    Object.defineProperty(storage, 'setAlarm', {
      value: (at: number) => setAlarm.call(storage, Math.min(trueInstant(at), trueNow() + LONGEST_SLEEP_MS)),
    })
    super(ctx, env)
  }

  /** Loses the ledger's memory, with all that is not yet on disk. Whoever waits for the ledger gets an error. */
  async die(): Promise<void> {
    this.ctx.abort('made by a test')
  }
}

interface ManyCalls {
  settlement: Settlement
  from: number
  count: number
}

const CONCURRENTLY = 250

/** Settles the calls `from` to `from + count`, in this order, with a ledger that never held them. */
async function settleMany(env: Env, { settlement, from, count }: ManyCalls): Promise<void> {
  const ledger = env.USAGE_LEDGER.get(env.USAGE_LEDGER.idFromName(settlement.draft.user_id))
  for (let at = from; at < from + count; at += CONCURRENTLY) {
    const numbers = Array.from({ length: Math.min(CONCURRENTLY, from + count - at) }, (_, index) => at + index)
    const reserved_at = Date.now()
    await Promise.all(
      numbers.map((number) => ledger.settle({ ...settlement, request_id: callId(number), reserved_at })),
    )
  }
}

/** One, as Tollgate makes an app for each that it is given. */
let troubledEnv: Env | undefined

export default {
  async fetch(request, env, ctx) {
    const { pathname } = new URL(request.url)
    if (pathname === '/chaos/clock') {
      moveClock(await request.json())
      return Response.json(null)
    }
    if (pathname === '/chaos/network') return Response.json(setNetwork(await request.json()))
    if (pathname === '/chaos/die') {
      const ledger = env.USAGE_LEDGER.get(env.USAGE_LEDGER.idFromName(await request.json()))
      await (ledger as unknown as Pick<UsageLedger, 'die'>).die().catch(() => undefined)
      return Response.json(null)
    }
    if (pathname === '/chaos/settle') {
      await settleMany(env, await request.json())
      return Response.json(null)
    }
    troubledEnv ??= { ...env, USAGE_LEDGER: overNetwork(env.USAGE_LEDGER) }
    return tollgate.fetch(request, troubledEnv, ctx)
  },
} satisfies ExportedHandler<Env>
