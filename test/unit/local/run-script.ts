// A script of the project as a process of its own.

import { execFile } from 'node:child_process'

export interface Ended {
  code: unknown
  stdout: string
  stderr: string
}

export function runScript(script: string, args: string[], env: Record<string, string> = {}): Promise<Ended> {
  const options = { env: { PATH: process.env.PATH, ...env }, timeout: 60_000 }
  return new Promise((resolve) =>
    execFile(process.execPath, [script, ...args], options, (error, stdout, stderr) =>
      resolve({ code: error ? error.code : 0, stdout, stderr }),
    ),
  )
}

export const migrate = (args: string[], env: Record<string, string>) => runScript('src/local/migrate.ts', args, env)
