// Every dialect's streams that go wrong on the provider's side: nonsense inside, an end that comes early, an error event,
// a connection cut in each phase. Never is a short answer silent: its client throws, typed wherever it can be.

import { afterAll, beforeAll, describe, test } from 'vitest'
import { CUT, type Script, SEND_HEADERS, type Step } from '../../src/local/fake-script.ts'
import { withoutCounts } from '../support/fault-scripts.ts'
import { asItIsAndFails, errorEvent, ownErrorEvent, wholeAnswer } from '../support/fault-sights.ts'
import { type Fault, type Stage, startStage } from '../support/fault-stage.ts'
import type { Streaming, Subject } from '../support/fault-subject.ts'
import { STREAMED } from '../support/fault-subjects.ts'
import { afterSteps } from '../support/script-changes.ts'

let stage: Stage
beforeAll(async () => {
  stage = await startStage()
})
afterAll(() => stage.close())

/** Events before the accident. */
const BEFORE = 5
/** Errors by which a provider says that it has not taken the call. */
const TURNED_AWAY: ReadonlySet<string> = new Set(['upstream_rate_limited', 'upstream_overloaded'])
const EARLY = /The provider ended the answer early/

const streamOf = ({ stream }: Subject): Streaming => {
  if (!stream) throw new Error('not a stream')
  return stream
}
const bytes = (step: Step = ''): Uint8Array =>
  step instanceof Uint8Array ? step : new TextEncoder().encode(typeof step === 'string' ? step : '')
/** The first events and so many bytes of the next one. */
const within = (usual: Script, byte: (length: number) => number, ...then: Step[]): Script => {
  const next = bytes(usual.steps[BEFORE])
  return afterSteps(usual, BEFORE, next.subarray(0, byte(next.length)), ...then)
}
const allButLast = (usual: Script, ...then: Step[]) => afterSteps(usual, usual.steps.length - 1, ...then)

const early: [string, NonNullable<Fault['sends']>][] = [
  ['a stream that stops early, between events', (usual) => afterSteps(usual, BEFORE)],
  ['a stream that stops early, inside of one', (usual) => within(usual, (length) => length >> 1)],
  ['a stream without any event', (usual) => afterSteps(usual, 0)],
  ['a connection cut after the headers', (usual) => afterSteps(usual, 0, SEND_HEADERS, CUT)],
  ['a connection cut between events', (usual) => afterSteps(usual, BEFORE, CUT)],
  ['a connection cut at the first bytes of one', (usual) => within(usual, () => 3, CUT)],
  ['a connection cut inside of one', (usual) => within(usual, (length) => length >> 1, CUT)],
  ['a connection cut before its last byte', (usual) => within(usual, (length) => length - 1, CUT)],
]

const faults: Fault[] = [
  ...early.map(
    ([name, sends]): Fault => ({
      name,
      sends,
      sees: errorEvent(EARLY),
      charged: 'hold',
      event: { status: 200, error_class: 'upstream_cut' },
    }),
  ),
  {
    name: 'a stream that stops before the event that ends it',
    sends: (usual) => allButLast(usual),
    sees: lastIsMissing,
    charged: (subject) => streamOf(subject).withoutLast.charged,
    event: (subject) => ({ error_class: streamOf(subject).withoutLast.isShort ? 'upstream_cut' : null }),
  },
  {
    name: 'a connection cut before the event that ends it',
    sends: (usual) => allButLast(usual, CUT),
    sees: lastIsMissing,
    charged: (subject) => streamOf(subject).withoutLast.charged,
    event: { error_class: 'upstream_cut' },
  },
  {
    name: 'an error event of the provider',
    sends: (usual, subject) => afterSteps(usual, BEFORE, streamOf(subject).errorEvent),
    sees: ownErrorEvent,
    charged: 'hold',
    event: (subject) => ({ status: 200, error_class: streamOf(subject).error_class }),
  },
  {
    name: 'an error event of the provider, and nothing else',
    sends: (usual, subject) => afterSteps(usual, 0, alone(streamOf(subject).errorEvent)),
    sees: ownErrorEvent,
    // AWS's SDK looks at the first frame before it calls the answer one.
    attempts: ({ name }) => (name.startsWith('bedrock') ? 3 : 1),
    charged: (subject) => (TURNED_AWAY.has(streamOf(subject).error_class) ? 'nothing' : 'hold'),
    event: (subject) => ({ status: 200, error_class: streamOf(subject).error_class }),
  },
  {
    name: 'garbage in place of an event',
    sends: withGarbage,
    sees: asItIsAndFails,
    charged: (subject) => streamOf(subject).garbageCharged,
    event: { status: 200, error_class: 'upstream_cut' },
  },
  {
    name: 'garbage, and usage that is no number',
    sends: (usual, subject) => withGarbage(miscounted(usual, subject), subject),
    sees: asItIsAndFails,
    charged: 'hold',
    event: { status: 200, error_class: 'upstream_cut' },
  },
  {
    name: 'usage that is no number',
    sends: miscounted,
    sees: wholeAnswer,
    charged: ({ unread }) => unread,
    event: { status: 200, error_class: null },
  },
]

/** In an array it is the first of its objects. */
const alone = (event: Step): Step => (typeof event === 'string' ? event.replace(/^,/, '[') : event)

function withGarbage(usual: Script, subject: Subject): Script {
  const garbage = streamOf(subject).garbage(usual.steps[BEFORE] ?? '')
  return { ...usual, steps: usual.steps.with(BEFORE, garbage) }
}

function miscounted(usual: Script, subject: Subject): Script {
  return streamOf(subject).retell(usual, withoutCounts)
}

function lastIsMissing(...[seen, subject, usual]: Parameters<Fault['sees']>) {
  return (streamOf(subject).withoutLast.isShort ? errorEvent(EARLY) : wholeAnswer)(seen, subject, usual)
}

describe.concurrent.each(STREAMED)('$name', (subject) => {
  test.each(faults)('$name', (fault) => stage.play(subject, fault))
})
