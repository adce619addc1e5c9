// Every dialect, whole and streamed, with a provider that is down, falls silent in each phase, or is merely slow: its client
// hears of it once, what may have been billed is charged, and nobody who still speaks is cut off.

import { afterAll, beforeAll, describe, test } from 'vitest'
import { HANG, type Script, SEND_HEADERS } from '../../src/local/fake-script.ts'
import { bytesOf } from '../support/client-calls.ts'
import { announced, half } from '../support/fault-scripts.ts'
import { errorEvent, failure, raised, wholeAnswer } from '../support/fault-sights.ts'
import { type Fault, type Stage, startStage } from '../support/fault-stage.ts'
import { STREAMED, SUBJECTS, WHOLE } from '../support/fault-subjects.ts'
import { afterSteps, inPieces } from '../support/script-changes.ts'

// On a slow machine, twenty tests that start at once keep each other waiting for most of a second.
const FIRST_BYTE_MS = 5_000
const IDLE_MS = 2_000
/** A pause that is none to mind, and one that only a first byte may take. */
const SHORT_MS = IDLE_MS / 20
const LONG_MS = IDLE_MS * 1.3

let impatient: Stage
let down: Stage
beforeAll(async () => {
  const vars = {
    FIRST_BYTE_TIMEOUT_SECONDS: String(FIRST_BYTE_MS / 1_000),
    IDLE_TIMEOUT_SECONDS: String(IDLE_MS / 1_000),
  }
  ;[impatient, down] = await Promise.all([startStage({ vars }), startStage({ origin: NOBODY })])
})
afterAll(() => Promise.all([impatient.close(), down.close()]))

/** A free port could be another test's before the end. */
const NOBODY = 'http://127.0.0.1:1'

const SILENT = /The provider fell silent/
const endless = { charged: 'hold', upstream: 'client_gone' } as const
const timeout = { ...endless, event: { status: 200, error_class: 'upstream_timeout' } }

const slowly = (usual: Script): Script => {
  const { steps } = inPieces(usual, Math.ceil(bytesOf(usual).length / 8))
  return { ...usual, steps: [{ delay_ms: LONG_MS }, ...steps.flatMap((step) => [step, { delay_ms: SHORT_MS }])] }
}
const living = {
  sees: wholeAnswer,
  charged: 'reported',
  event: { status: 200, error_class: null },
  upstream: 'sent',
} as const

const anywhere: Fault[] = [
  {
    ...endless,
    name: 'silent before the first byte',
    sends: () => ({ steps: [HANG] }),
    sees: raised('timeout'),
    event: ({ timeout }) => ({ status: timeout, error_class: 'upstream_timeout' }),
  },
  {
    ...living,
    name: 'slow, but within its limits',
    sends: slowly,
  },
]

const brokenOff: Fault['sees'] = (seen, subject, usual) =>
  (subject.is_kept_whole ? raised('timeout') : failure)(seen, subject, usual)

const wholes: Fault[] = [
  {
    ...living,
    name: 'slow, but within its limits, with a short answer',
    sends: (usual) => announced(usual, slowly(usual)),
  },
  {
    ...timeout,
    name: 'silent after the headers of a short answer',
    sends: (usual) => announced(usual, { steps: [SEND_HEADERS, HANG] }),
    sees: raised('timeout'),
  },
  {
    ...timeout,
    name: 'silent within a short answer',
    sends: (usual) => announced(usual, half(usual, HANG)),
    sees: raised('timeout'),
  },
  {
    ...timeout,
    name: 'silent after the headers of an answer of unknown length',
    sends: (usual) => ({ ...usual, steps: [SEND_HEADERS, HANG] }),
    sees: brokenOff,
  },
  {
    ...timeout,
    name: 'silent within an answer of unknown length',
    sends: (usual) => half(usual, HANG),
    sees: brokenOff,
  },
]

const streams: Fault[] = [
  {
    ...timeout,
    name: 'silent after the headers',
    sends: (usual) => afterSteps(usual, 0, SEND_HEADERS, HANG),
    sees: errorEvent(SILENT),
  },
  {
    ...timeout,
    name: 'silent between two events',
    sends: (usual) => afterSteps(usual, 5, HANG),
    sees: errorEvent(SILENT),
  },
  {
    ...timeout,
    name: 'silent inside of an event',
    sends: (usual) => half(usual, HANG),
    sees: errorEvent(SILENT),
  },
]

const nobody: Fault = {
  name: 'a provider that is down',
  sees: raised('unreachable'),
  charged: 'nothing',
  event: ({ unreachable }) => ({ status: unreachable, error_class: 'upstream_unreachable' }),
}

describe.concurrent.each(SUBJECTS)('$name', (subject) => {
  test.each(anywhere)('$name', (fault) => impatient.play(subject, fault))
  test(nobody.name, () => down.play(subject, nobody))
})
describe.concurrent.each(WHOLE)('$name', (subject) => {
  test.each(wholes)('$name', (fault) => impatient.play(subject, fault))
})
describe.concurrent.each(STREAMED)('$name', (subject) => {
  test.each(streams)('$name', (fault) => impatient.play(subject, fault))
})
