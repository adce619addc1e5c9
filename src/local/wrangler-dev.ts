// `wrangler dev` as a child process: its output goes to a log file, its secrets come from a file (never from the
// command line, which every user of the machine can see). The log of the run before is kept: it may say why that one ended.

import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { accessSync, closeSync, constants, existsSync, openSync, renameSync, writeSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { stripVTControlCharacters } from 'node:util'
import { isObject, parseJsonOrUndefined } from '../providers/answer.ts'
import { StartFault } from './start-fault.ts'

export interface WranglerDev {
  /** Null until it listens. */
  url: () => string | null
  /** Settles when wrangler has ended, wanted or not. */
  exited: Promise<void>
  /** Ends wrangler, at last by force. */
  stop(): Promise<void>
  /** What it wrote last, for an error message. */
  lastOutput(): Promise<string>
}

const READY_WITHIN_MS = 60_000
const STOP_WITHIN_MS = 5_000

/** Port 0 takes a free one. */
export function startWrangler(options: { port: number; envFile: string; folder: string }): WranglerDev {
  const { port, envFile, folder } = options
  const logFile = join(folder, 'wrangler.log')
  const args = ['dev', '--ip', '127.0.0.1', '--port', String(port), '--env-file', envFile]
  args.push('--persist-to', join(folder, 'wrangler'), '--show-interactive-dev-session=false')
  // Otherwise the worker takes itself for the domain in wrangler.toml's routes, and sends clients there for a batch's results.
  args.push('--infer-origin-from-routes=false')
  // The default is the first free port from 9229 on, which another Tollgate that starts at the same time would find, too.
  args.push('--inspector-port', '0')
  const child = fork(
    join(dirname(createRequire(import.meta.url).resolve('wrangler/package.json')), 'bin/wrangler.js'),
    args,
    {
      execArgv: ['--no-warnings', '--import', new URL('exit-with-parent.ts', import.meta.url).href],
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      // A process group of its own, to be ended as a whole.
      detached: process.platform !== 'win32',
      env: {
        ...withoutHome(folder),
        ...process.env,
        NO_COLOR: '1',
        FORCE_COLOR: '0',
        // Compiling wrangler takes a second, each time.
        NODE_COMPILE_CACHE: join(folder, 'compile-cache'),
        WRANGLER_SEND_METRICS: 'false',
        WRANGLER_HIDE_BANNER: 'true',
        // Otherwise it keeps a file for each run.
        WRANGLER_WRITE_LOGS: 'false',
        // Otherwise it asks Cloudflare what `request.cf` looks like, and waits where a proxy or firewall does not answer.
        CLOUDFLARE_CF_FETCH_ENABLED: 'false',
        // Otherwise it keeps the URL of every call, with what is in `?key=`, in a file that only grows.
        X_LOCAL_OBSERVABILITY: 'false',
        CLOUDFLARE_LOAD_DEV_VARS_FROM_DOT_ENV: 'true',
        CLOUDFLARE_INCLUDE_PROCESS_ENV: 'false',
      },
    },
  )
  if (existsSync(logFile)) renameSync(logFile, `${logFile}.1`)
  const exited = keepLog(child, logFile)
  let url: string | null = null
  child.on('message', (message) => {
    const told = parseJsonOrUndefined(String(message))
    if (isObject(told) && told.event === 'DEV_SERVER_READY') url = `http://127.0.0.1:${told.port}`
  })
  return {
    url: () => url,
    exited,
    stop: async () => {
      child.kill('SIGTERM')
      const timer = setTimeout(() => killGroup(child), STOP_WITHIN_MS)
      await exited
      clearTimeout(timer)
    },
    lastOutput: async () =>
      stripVTControlCharacters(await readFile(logFile, 'utf8'))
        .trim()
        .split('\n')
        .slice(-30)
        .join('\n'),
  }
}

/** Wrangler writes into the user's home, and ends where it cannot. In containers, users often have none. */
function withoutHome(folder: string): { XDG_CONFIG_HOME?: string } {
  try {
    accessSync(homedir(), constants.W_OK)
    return {}
  } catch {
    return { XDG_CONFIG_HOME: folder }
  }
}

/**
 * Settles when the child has ended and its output is in the file. A full disk costs lines of the log, and stops nothing.
 * @throws at once, not in the promise, where the file cannot be opened.
 */
export function keepLog(child: ChildProcess, file: string): Promise<void> {
  const log = openSync(file, 'w', 0o600)
  let isTold = false
  const write = (text: Buffer) => {
    try {
      writeSync(log, text)
    } catch (error) {
      if (!isTold) console.error(`${file} cannot be written: ${error instanceof Error ? error.message : error}`)
      isTold = true
    }
  }
  child.stdout?.on('data', write)
  child.stderr?.on('data', write)
  return once(child, 'close').then(() => closeSync(log))
}

/** Ends the whole group: the processes that wrangler starts may hang even after it has ended. */
function killGroup(leader: ChildProcess): void {
  if (process.platform === 'win32' || leader.pid === undefined) return void leader.kill('SIGKILL')
  try {
    process.kill(-leader.pid, 'SIGKILL')
  } catch {
    // None of them is left.
  }
}

/**
 * Waits until the worker answers. @returns its URL.
 * @throws with wrangler's output where it ends first, cannot build the worker, or never answers; with the worker's own
 *   words where a variable is wrong.
 */
export async function untilAnswers(wrangler: WranglerDev): Promise<string> {
  let ended = false
  void wrangler.exited.then(() => {
    ended = true
  })
  const deadline = Date.now() + READY_WITHIN_MS
  for (;;) {
    const url = wrangler.url()
    const response = url && (await ask(url))
    if (response) {
      await requireConfigured(response)
      return url
    }
    if (ended) throw new StartFault(`wrangler dev ended:\n${await wrangler.lastOutput()}`)
    // After a failed build, wrangler waits for the source to change.
    const failed = (await wrangler.lastOutput()).includes('Build failed')
    await sleep(200)
    if (failed || Date.now() > deadline) {
      throw new StartFault(`wrangler dev does not answer:\n${await wrangler.lastOutput()}`)
    }
  }
}

async function requireConfigured(response: Response): Promise<void> {
  if (response.status !== 503 || response.headers.get('content-type') !== 'application/problem+json') return
  const { code, detail } = (await response.json()) as { code: string; detail: string }
  if (code === 'not_configured') throw new StartFault(detail)
}

async function ask(url: string): Promise<Response | null> {
  try {
    return await fetch(url, { signal: AbortSignal.timeout(2_000) })
  } catch {
    return null
  }
}
