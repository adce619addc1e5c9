// kill -9 of workerd under load, again and again: what was answered is on record, and no sum is off.

import { existsSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, onTestFinished, test } from 'vitest'
import { workerdPids } from '../bench/processes.ts'
import { checkBooks } from '../support/books.ts'
import { eventually, startGateway } from '../support/gateway.ts'
import { chat, read } from '../support/held-calls.ts'

const KILLS = 5
const CALLS_BETWEEN = 60
const CAP = { cap_type: 'total', limits: { requests: 100_000, tokens: 1_000_000_000, cost_usd: 1_000 } }

// Processes are found in /proc.
test.skipIf(!existsSync('/proc/self/stat'))(
  'every call that was answered whole has its event after kill -9',
  async () => {
    const gateway = await startGateway({ vars: { HOLD_TTL_SECONDS: '2' } })
    let isOver = false
    onTestFinished(async () => {
      isOver = true
      await gateway.close()
    })
    const users = await Promise.all(Array.from({ length: 4 }, () => gateway.admin.user([CAP])))
    const answered: string[] = []

    const client = async ({ key }: { key: string }, stream: boolean) => {
      while (!isOver) {
        // While the worker is down there is nobody to answer.
        const answer = await read(chat(gateway, key, { body: { stream } })).catch(() => null)
        if (answer?.status === 200 && answer.request_id) answered.push(answer.request_id)
        else await sleep(20)
      }
    }
    const load = Promise.all([...users, ...users].map((user, index) => client(user, index % 2 === 0)))
    for (let kill = 0; kill < KILLS; kill++) {
      const enough = answered.length + CALLS_BETWEEN
      await eventually(
        async () => answered.length,
        (count) => count >= enough,
      )
      for (const pid of workerdPids()) process.kill(pid, 'SIGKILL')
      await gateway.restart()
    }
    isOver = true
    await load

    const { events } = await checkBooks(
      gateway,
      users.map(({ id }) => id),
    )
    const recorded = new Set(events.map(({ id }) => id))
    expect(answered.filter((id) => !recorded.has(id))).toEqual([])
  },
  120_000,
)
