// The bench's other processes, and what CPU time and memory each uses (Linux only: null elsewhere).

import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'

interface Child<Hello> {
  hello: Hello
  pid: number
  /** Asks it to clean up and end, and waits for that. */
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

/** Child processes of this one that run `workerd`. */
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

/** CPU time of a process, user and system. */
export function cpuMs(pid: number): number | null {
  const TICKS_PER_SECOND = 100
  return procfs(() => (statOf(pid).ticks * 1000) / TICKS_PER_SECOND, null)
}

export interface Memory {
  rss_mib: number
  /** As RSS, but each page that processes share is divided among them. */
  pss_mib: number
  /** The highest RSS so far. */
  peak_mib: number
}

export function memoryOf(pid: number): Memory | null {
  const mib = (text: string, name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(text)?.[1]) / 1024
  return procfs(() => {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8')
    const smaps = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8')
    return { rss_mib: mib(status, 'VmRSS'), pss_mib: mib(smaps, 'Pss'), peak_mib: mib(status, 'VmHWM') }
  }, null)
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
