// The three ports of a local Tollgate, known to be free before anything starts.

import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
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

/** 0 takes a free port. @throws {StartFault} naming the variable of a wrong port, or of each port in use. */
export async function choosePorts(env: Record<string, string | undefined>): Promise<Ports> {
  const ports: Ports = { worker: 0, database: 0, provider: 0 }
  const taken: string[] = []
  for (const [name, variable, usual] of VARIABLES) {
    const asked = Number(env[variable] || usual)
    if (!Number.isInteger(asked) || asked < 0 || asked > 65_535)
      throw new StartFault(`${variable} is not a port number.`)
    const isChosen = (port: number) => Object.values(ports).includes(port)
    let port = await freePort(asked)
    // The system may offer the same free port again.
    while (asked === 0 && port !== null && isChosen(port)) port = await freePort(0)
    if (port === null || isChosen(port)) {
      taken.push(`Port ${asked} is in use. Set ${variable} to another port.`)
    } else {
      ports[name] = port
    }
  }
  if (taken.length > 0) throw new StartFault(taken.join('\n'))
  return ports
}

async function freePort(port: number): Promise<number | null> {
  const server = createServer()
  try {
    await once(server.listen(port, '127.0.0.1'), 'listening')
    const bound = (server.address() as AddressInfo).port
    await new Promise((resolve) => server.close(resolve))
    return bound
  } catch (error) {
    if (error instanceof Error && 'code' in error && (error.code === 'EADDRINUSE' || error.code === 'EACCES'))
      return null
    throw error
  }
}
