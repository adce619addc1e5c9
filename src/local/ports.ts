// The three ports of a local Tollgate, known to be free before anything starts.

import { once } from 'node:events'
import { createServer } from 'node:net'
import { StartFault } from './start-fault.ts'

export interface Ports {
  worker: number
  database: number
  provider: number
}

const VARIABLES: [keyof Ports, string, number][] = [
  ['worker', 'TOLLGATE_PORT', 8787],
  ['database', 'TOLLGATE_DATABASE_PORT', 8788],
  ['provider', 'TOLLGATE_PROVIDER_PORT', 8789],
]

/**
 * 0 stays 0: whoever listens then takes a free port. One that were chosen now might be taken by then.
 * @throws {StartFault} naming the variable of a wrong port, or of each port in use.
 */
export async function choosePorts(env: Record<string, string | undefined>): Promise<Ports> {
  const ports: Ports = { worker: 0, database: 0, provider: 0 }
  const taken: string[] = []
  for (const [name, variable, usual] of VARIABLES) {
    const port = Number(env[variable] || usual)
    if (!Number.isInteger(port) || port < 0 || port > 65_535) throw new StartFault(`${variable} is not a port number.`)
    if (port !== 0 && (Object.values(ports).includes(port) || !(await isFree(port))))
      taken.push(`Port ${port} is in use. Set ${variable} to another port.`)
    ports[name] = port
  }
  if (taken.length > 0) throw new StartFault(taken.join('\n'))
  return ports
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer()
  try {
    await once(server.listen(port, '127.0.0.1'), 'listening')
    await new Promise((resolve) => server.close(resolve))
    return true
  } catch (error) {
    if (error instanceof Error && 'code' in error && (error.code === 'EADDRINUSE' || error.code === 'EACCES'))
      return false
    throw error
  }
}
