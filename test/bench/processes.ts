// The bench's other processes, and what CPU time each has used (Linux only: null elsewhere).

import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'

export interface Child<Hello> {
  hello: Hello
  pid: number
  /** Lets it clean up and end. */
  close(): Promise<void>
}

/** Starts a script beside this file and waits for its first message. It ends when this process does. */
export async function startChild<Hello>(script: string): Promise<Child<Hello>> {
  const child: ChildProcess = fork(`${import.meta.dirname}/${script}`, {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  })
  const exited = once(child, 'exit')
  const [hello] = await Promise.race([
    once(child, 'message'),
    exited.then(([code]) => {
      throw new Error(`${script} ended with ${code}`)
    }),
  ])
  return {
    hello,
    pid: child.pid ?? 0,
    close: async () => {
      if (child.connected) child.disconnect()
      await exited
    },
  }
}

/** Processes that this one started and that run `workerd`. */
export function workerdPids(): number[] {
  return procfs(
    () =>
      readdirSync('/proc')
        .filter((name) => /^\d+$/.test(name))
        .map(Number),
    [],
  ).filter((pid) => {
    const stat = procfs(() => statOf(pid), null)
    return stat?.command === 'workerd' && stat.parent === process.pid
  })
}

/** User and system time. */
export function cpuMs(pid: number): number | null {
  const TICKS_PER_SECOND = 100
  return procfs(() => (statOf(pid).ticks * 1000) / TICKS_PER_SECOND, null)
}

function statOf(pid: number): { command: string; parent: number; ticks: number } {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  const end = stat.lastIndexOf(')')
  const fields = stat.slice(end + 2).split(' ')
  const [parent, user, system] = [fields[1], fields[11], fields[12]].map(Number)
  return { command: stat.slice(stat.indexOf('(') + 1, end), parent: parent ?? 0, ticks: (user ?? 0) + (system ?? 0) }
}

function procfs<T>(read: () => T, otherwise: T): T {
  try {
    return read()
  } catch {
    return otherwise
  }
}
