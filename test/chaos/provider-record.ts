// What reached the fake provider and what it said that it billed, call by call: what the books must agree with.

import type { FakeProvider, Reply } from '../../src/local/fake-provider.ts'
import type { Script } from '../../src/local/fake-script.ts'
import { answerIdIn, markerIn } from './request.ts'

/** What a user used, or a call. */
export interface Used {
  requests: number
  tokens: number
  cost_nano_usd: number
}

/** A call that reached the provider. The amounts are those of its whole answer, whether it was sent whole or not. */
export interface Forwarded {
  marker: string
  user_id: string
  at: number
  input_tokens: number
  output_tokens: number
  cost_nano_usd: number
  answer_id: string | null
  /** False where it answered with an error, so that the call may be free. */
  is_billed: boolean
}

export interface ProviderRecord {
  /** In the order of arrival. A marker that is here twice is a fault. */
  forwarded: Forwarded[]
  /** The sum of a user's so far. */
  usedBy(userId: string): Used
  /** From now on this provider's calls are written down as well. Its `reply` may still be set at any time. */
  watch(provider: FakeProvider): void
}

/** What the catalogue has for the two models: every event's cost is checked against it. */
const NANO_USD_PER_TOKEN = {
  openai: { input: 150, output: 600 },
  anthropic: { input: 1_000, output: 5_000 },
}

export function recordProvider(): ProviderRecord {
  const forwarded: Forwarded[] = []
  const used = new Map<string, Used>()
  const usedBy = (userId: string) => used.get(userId) ?? { requests: 0, tokens: 0, cost_nano_usd: 0 }
  return {
    forwarded,
    usedBy,
    watch(provider) {
      let inner = provider.reply
      const recording: Reply = (request, usual) => {
        const body = request.body.toString()
        const marker = markerIn(body)
        if (marker === null) return inner?.(request, usual)
        const whole = announced(usual(), marker)
        // `usual` gives the same answer however often it is called.
        const answer = inner?.(request, () => whole) ?? whole
        const call = { ...forwardedCall(marker, body, whole), is_billed: (answer.status ?? 200) < 400 }
        forwarded.push(call)
        const { requests, tokens, cost_nano_usd } = usedBy(call.user_id)
        used.set(call.user_id, {
          requests: requests + 1,
          tokens: tokens + call.input_tokens + call.output_tokens,
          cost_nano_usd: cost_nano_usd + call.cost_nano_usd,
        })
        return answer
      }
      Object.defineProperty(provider, 'reply', {
        get: () => recording,
        set: (reply: Reply | undefined) => {
          inner = reply
        },
      })
    },
  }
}

/** Announces the length of every second JSON answer: such answers take another way through the gateway. */
function announced(answer: Script, marker: string): Script {
  if (!answer.headers?.['content-type']?.startsWith('application/json') || /[02468]$/.test(marker)) return answer
  return { ...answer, headers: { ...answer.headers, 'content-length': String(Buffer.byteLength(textOf(answer))) } }
}

/** The text in a script. */
export const textOf = ({ steps }: Script) => steps.filter((step) => typeof step === 'string').join('')

function forwardedCall(marker: string, body: string, answer: Script): Omit<Forwarded, 'is_billed'> {
  const text = textOf(answer)
  const last = (name: RegExp) => Number([...text.matchAll(name)].at(-1)?.[1] ?? Number.NaN)
  const input_tokens = last(/"(?:prompt|input)_tokens":(\d+)/g)
  const output_tokens = last(/"(?:completion|output)_tokens":(\d+)/g)
  const { user, metadata } = JSON.parse(body)
  const { input, output } = NANO_USD_PER_TOKEN[user === undefined ? 'anthropic' : 'openai']
  return {
    marker,
    user_id: user ?? metadata.user_id,
    at: Date.now(),
    input_tokens,
    output_tokens,
    cost_nano_usd: input_tokens * input + output_tokens * output,
    answer_id: answerIdIn(text),
  }
}
