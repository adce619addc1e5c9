import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { sharedFetch } from '../../../src/auth/shared-fetch.ts'
import { times } from '../../support/held-calls.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

/** 100 who ask at once. Each fetch takes as long as `answer` does. */
async function ask100(answer: (nth: number) => Promise<Response>) {
  let asked = 0
  const fetchShared = sharedFetch(async () => answer(asked++))
  const results = Promise.allSettled(times(100, async () => (await fetchShared('https://idp.test/jwks')).text()))
  await vi.advanceTimersByTimeAsync(10_000)
  return { asked, results: new Set((await results).map((one) => ('value' in one ? one.value : one.reason.message))) }
}

/** A first fetch is under way and never ends. All others have the keys at once. */
function afterOneThatNeverEnds() {
  let asked = 0
  const fetchShared = sharedFetch(() => (asked++ === 0 ? new Promise(() => {}) : Promise.resolve(new Response('keys'))))
  void fetchShared('https://idp.test/jwks')
  return { fetchShared, asked: () => asked }
}

const after = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

test('one answer serves all', async () => {
  expect(await ask100(async () => new Response('keys'))).toEqual({ asked: 1, results: new Set(['keys']) })
})

test('who asks after the answer fetches at once', async () => {
  let asked = 0
  const fetchShared = sharedFetch(async () => new Response(`keys ${++asked}`))
  await fetchShared('https://idp.test/jwks')
  void fetchShared('https://idp.test/jwks')
  expect(asked).toBe(2)
})

test('so does one that takes long: others who began to fetch meanwhile do not keep it from whoever waits', async () => {
  const slow = async () => {
    await after(1_500)
    return new Response('keys')
  }
  expect(await ask100(slow)).toEqual({ asked: 2, results: new Set(['keys']) })
})

test('who fetches and never comes back is followed by one other', async () => {
  const { fetchShared, asked } = afterOneThatNeverEnds()
  const answers = Promise.all(times(100, async () => (await fetchShared('https://idp.test/jwks')).text()))
  await vi.advanceTimersByTimeAsync(1_000)
  expect([asked(), new Set(await answers)]).toEqual([2, new Set(['keys'])])
})

test('where none comes back, whoever has waited three seconds fetches for himself', async () => {
  let asked = 0
  const fetchShared = sharedFetch(() => {
    asked++
    return new Promise(() => {})
  })
  times(100, () => fetchShared('https://idp.test/jwks'))
  const asked_after: number[] = []
  for (const ms of [0, 1_000, 1_000, 999, 1]) {
    await vi.advanceTimersByTimeAsync(ms)
    asked_after.push(asked)
  }
  expect(asked_after).toEqual([1, 2, 3, 3, 100])
})

test('the fault of an earlier fetch is not that of whoever waits for a later one, or asks while it goes on', async () => {
  const first = async () => {
    await after(1_500)
    throw new Error('away')
  }
  const second = async () => {
    await after(900)
    return new Response('keys')
  }
  let asked = 0
  const fetchShared = sharedFetch(() => (asked++ === 0 ? first() : second()))
  const ask = () => fetchShared('https://idp.test/jwks')
  const answers = Promise.allSettled([...times(100, ask), after(1_600).then(ask)])
  await vi.advanceTimersByTimeAsync(10_000)
  const failed = (await answers).filter(({ status }) => status === 'rejected')
  expect([asked, failed.length]).toEqual([2, 1])
})

test('a fault is that of all', async () => {
  const broken = async () => {
    await after(10)
    throw new Error('away')
  }
  expect(await ask100(broken)).toEqual({ asked: 1, results: new Set(['away']) })
})

test('nobody waits an hour for a fetch that never ends because the clock was set back an hour', async () => {
  const { fetchShared } = afterOneThatNeverEnds()
  vi.setSystemTime(Date.now() - 3_600_000)
  expect(await (await fetchShared('https://idp.test/jwks')).text()).toBe('keys')
})
