// The provider's connection is cut at each phase of an answer, JSON and streams, and is refused for a while.

import { type FakeProvider, startFakeProvider } from '../../../src/local/fake-provider.ts'
import { CUT, type Script, SEND_HEADERS } from '../../../src/local/fake-script.ts'
import { eventually } from '../../support/gateway.ts'
import { cutAfterBytes } from '../../support/script-changes.ts'
import { audit, type Counted, must } from '../audit.ts'
import { sendTo, startLoad } from '../load.ts'
import { textOf } from '../provider-record.ts'
import { fourUsers, openStage } from '../stage.ts'

const CALLS_EACH = 20

const lengthOf = (script: Script) => Buffer.byteLength(textOf(script))

/** Where an answer ends early. */
export const PHASES: Record<string, (usual: Script) => Script> = {
  'before the headers': () => ({ steps: [CUT] }),
  'after the headers': (usual) => ({ ...usual, steps: [SEND_HEADERS, CUT] }),
  'in the middle of the body': (usual) => cutAfterBytes(usual, Math.floor(lengthOf(usual) / 2)),
  'in the middle of an event': (usual) => cutAfterBytes(usual, Math.max(textOf(usual).indexOf('\n\n'), 0) + 10),
  'before the last byte': (usual) => cutAfterBytes(usual, lengthOf(usual) - 1),
}

export async function upstreamCuts(tell: (part: string, counted: Counted) => void): Promise<void> {
  const stage = await openStage()
  let second: FakeProvider | null = null
  try {
    const users = await fourUsers(stage.admin)
    const cuts = new Map<string, number>()
    const kinds = new Map<string, number>()
    const phases = Object.entries(PHASES)
    stage.provider.reply = ({ method, body }, usual) => {
      if (method !== 'POST') return undefined
      const kind = `${body.includes('max_completion_tokens') ? 'openai' : 'anthropic'} ${body.includes('"stream":true') ? 'stream' : 'JSON'}`
      const turn = kinds.get(kind) ?? 0
      kinds.set(kind, turn + 1)
      // Every second call is cut, at each phase in turn.
      const [phase, cut] = (turn % 2 === 1 && phases[Math.floor(turn / 2) % phases.length]) || [null, null]
      if (!cut) return undefined
      cuts.set(`${kind} ${phase}`, (cuts.get(`${kind} ${phase}`) ?? 0) + 1)
      return cut(usual())
    }
    const load = startLoad(sendTo(stage), users)
    const wanted = CALLS_EACH * phases.length * 4
    while ([...cuts.values()].reduce((sum, count) => sum + count, 0) < wanted) await load.more(CALLS_EACH)
    const seen = await load.stop()
    const { counted, events } = await audit(stage, users, seen, { some_break_off: true })
    must(cuts.size === phases.length * 4, 'each phase was met by each kind of answer', [...cuts])
    const forwarded = stage.provider.requests.filter(({ method }) => method === 'POST').length
    must(events.length === forwarded, `${forwarded} calls reached the provider, ${events.length} have an event`)
    tell(`upstream cut at ${phases.length} phases, 4 kinds of answers`, {
      ...counted,
      cuts: [...cuts.values()].reduce((sum, count) => sum + count, 0),
    })

    stage.provider.reply = undefined
    const later = await fourUsers(stage.admin)
    const again = startLoad(sendTo(stage), later)
    await again.more(CALLS_EACH)
    await stage.provider.close()
    const refusedFrom = again.seen.failed.length
    await eventually(
      async () => again.seen.failed.length,
      (count) => count >= refusedFrom + CALLS_EACH,
      60_000,
    )
    second = await startFakeProvider({ port: Number(new URL(stage.provider.url).port) })
    stage.record.watch(second)
    await again.more(CALLS_EACH)
    const { counted: recounted } = await audit(stage, later, await again.stop(), {
      provider_went: true,
      some_break_off: true,
    })
    tell('upstream refuses connections', recounted)
  } finally {
    await second?.close()
    await stage.close()
  }
}
