// `npm start` is npm, a shell that npm runs the script in, and the script. Signals to npm end the shell at most, and `kill -9`
// of npm not even that: so the script watches both.

import { type ExecFileSyncOptionsWithStringEncoding, execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'

const LOOK_EVERY_MS = 200

/** Calls `act` once, when npm or the shell between is gone. */
export function onceNpmIsGone(act: () => void): void {
  const parent = process.ppid
  const npm = parentOfShell(parent) ?? parent
  const timer = setInterval(() => {
    if (process.ppid === parent && isAlive(npm)) return
    clearInterval(timer)
    act()
  }, LOOK_EVERY_MS).unref()
}

/** Null where the process is not a shell (some shells become the script, whose parent is then npm), or cannot be looked up. */
function parentOfShell(pid: number): number | null {
  try {
    const [, command = '', parent] = lookUp(pid) ?? []
    return /(^|\/)-?\w*sh$/.test(command) ? Number(parent) : null
  } catch {
    return null
  }
}

/** A process's command and its parent's pid. Slim containers have no `ps`, but every Linux has `/proc`. */
function lookUp(pid: number): RegExpExecArray | null {
  if (process.platform === 'linux') return /^\d+ \((.*)\) \S+ (\d+)/.exec(readFileSync(`/proc/${pid}/stat`, 'utf8'))
  // The `ps` of Git for Windows knows no `-o`, and says so.
  const options: ExecFileSyncOptionsWithStringEncoding = { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }
  return /^(.*?)\s+(\d+)\s*$/.exec(execFileSync('ps', ['-o', 'comm=,ppid=', '-p', `${pid}`], options))
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    // It is alive, but another user's.
    return error instanceof Error && 'code' in error && error.code === 'EPERM'
  }
}
