// Every dialect, whole and streamed, where the provider refuses, talks nonsense, or is cut off before or within an answer
// that is no stream: what its official client sees and how often it asks, what is charged, and what the event says.

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { CUT, type Script, SEND_HEADERS } from '../../src/local/fake-script.ts'
import { announced, half, withoutCounts } from '../support/fault-scripts.ts'
import { asItIs, failure, raised, wholeAnswer } from '../support/fault-sights.ts'
import { type Fault, type Stage, startStage } from '../support/fault-stage.ts'
import { retellText } from '../support/fault-subject.ts'
import { SUBJECTS, WHOLE } from '../support/fault-subjects.ts'
import { afterSteps } from '../support/script-changes.ts'

let stage: Stage
beforeAll(async () => {
  stage = await startStage()
})
afterAll(() => stage.close())

/** Whether to ask again is the provider's to say: its client reads this, and must get it. */
const HINTS = { 'retry-after-ms': '3', 'x-should-retry': 'false', 'x-ratelimit-reset-requests': '1s' }

const refusals: [status: number, error_class: string][] = [
  [400, 'upstream_invalid_request'],
  [403, 'upstream_unauthorized'],
  [429, 'upstream_rate_limited'],
  [500, 'upstream_error'],
  [503, 'upstream_error'],
]

const refused: Fault[] = refusals.map(([status, error_class]) => ({
  name: `the provider's own ${status}`,
  sends: (_, subject) => subject.refusal(status, HINTS),
  sees({ error, attempts }, subject) {
    expect(error).toSatisfy(subject.isTyped)
    expect(subject.statusOf(error)).toBe(status)
    expect(String(error)).toContain('No.')
    for (const { answer } of attempts)
      for (const [name, hint] of Object.entries(HINTS)) expect(answer?.headers.get(name)).toBe(hint)
  },
  // AWS's client knows no such header.
  attempts: ({ name, tries }) => (name.startsWith('bedrock') ? tries(status) : 1),
  charged: 'nothing',
  event: { status, error_class },
}))

/** Cloudflare's words for an origin that took it and gave no answer. */
const lost = [520, 524].map(
  (status): Fault => ({
    name: `a ${status}: the origin may have billed it`,
    sends: (_, subject) => subject.refusal(status, {}),
    sees({ error, attempts }, subject) {
      expect(subject.statusOf(error)).toBe(status)
      expect(attempts[0]?.answer?.headers.get('x-should-retry')).toBe('false')
    },
    charged: 'hold',
    event: { status, error_class: 'upstream_error' },
  }),
)

const answers: Fault[] = [
  ...refused,
  {
    name: 'a status that is none of HTTP',
    sends: (_, subject) => subject.refusal(699, HINTS),
    sees({ error }, subject) {
      expect(error).toSatisfy(subject.isTyped)
      expect(subject.statusOf(error)).toBe(502)
    },
    attempts: ({ name, tries }) => (name.startsWith('bedrock') ? tries(502) : 1),
    charged: 'nothing',
    event: { status: 699, error_class: 'upstream_error' },
  },
  {
    name: 'a 429 whose client asks again, as calls of their own',
    sends: (_, subject) => subject.refusal(429, { 'retry-after-ms': '3' }),
    sees: ({ error }, subject) => expect(subject.statusOf(error)).toBe(429),
    attempts: ({ tries }) => tries(429),
    charged: 'nothing',
    event: { status: 429 },
  },
  ...lost,
  {
    name: 'a connection cut before the answer',
    sends: () => ({ steps: [CUT] }),
    sees: raised('unreachable'),
    charged: 'hold',
    event: ({ unreachable }) => ({ status: unreachable, error_class: 'upstream_unreachable' }),
    upstream: 'cut',
  },
]

describe.concurrent.each(SUBJECTS)('$name', (subject) => {
  test.each(answers)('$name', (fault) => stage.play(subject, fault))
})

const text = (said: string) => (usual: Script) => ({ ...usual, steps: [said] })
const nonsense = [
  ['garbage', text('this is {not JSON')],
  ['no body', text('')],
  ['JSON that is no answer', text('[1, 2, 3]')],
  ['half an answer', (usual) => half(usual)],
] satisfies [string, Fault['sends']][]
const misread = nonsense.map(
  ([name, sends]): Fault => ({
    name: `a 200 with ${name}`,
    sends,
    sees: asItIs,
    charged: 'hold',
    event: { status: 200, error_class: null },
  }),
)

/** Of an answer that is passed on as it comes, no more than a failure: there is no way to say why. */
const brokenOff: Fault['sees'] = (seen, subject, usual) =>
  (subject.is_kept_whole ? raised('unreachable') : failure)(seen, subject, usual)

const wholes: Fault[] = [
  ...misread,
  {
    name: 'usage that is no number',
    sends: (usual) => retellText(usual, withoutCounts),
    sees: wholeAnswer,
    charged: ({ unread }) => unread,
    event: { status: 200, error_class: null },
  },
  {
    name: 'a connection cut after the headers of a short answer',
    sends: (usual) => announced(usual, { steps: [SEND_HEADERS, CUT] }),
    sees: raised('unreachable'),
    charged: 'hold',
    event: { status: 200, error_class: 'upstream_cut', time_to_first_byte_ms: null },
  },
  {
    name: 'a connection cut within a short answer',
    sends: (usual) => announced(usual, half(usual, CUT)),
    sees: raised('unreachable'),
    charged: 'hold',
    event: { status: 200, error_class: 'upstream_cut' },
  },
  {
    name: 'a connection cut after the headers of an answer of unknown length',
    sends: (usual) => ({ ...usual, steps: [SEND_HEADERS, CUT] }),
    sees: brokenOff,
    charged: 'hold',
    event: { status: 200, error_class: 'upstream_cut' },
  },
  {
    name: 'a connection cut within an answer of unknown length',
    sends: (usual) => half(usual, CUT),
    sees: brokenOff,
    charged: 'hold',
    event: { status: 200, error_class: 'upstream_cut' },
  },
  {
    name: 'a connection cut behind the last byte, before the end is marked',
    sends: (usual) => afterSteps(usual, usual.steps.length, CUT),
    sees: brokenOff,
    // What was not whole was not read.
    charged: ({ is_kept_whole }) => (is_kept_whole ? 'hold' : 'reported'),
    event: { status: 200, error_class: 'upstream_cut' },
  },
]

describe.concurrent.each(WHOLE)('$name', (subject) => {
  test.each(wholes)('$name', (fault) => stage.play(subject, fault))
})
