// The `[vars]` of wrangler.toml: the worker has them beside what is in `.dev.vars`.

import type { Vars } from './dev-vars.ts'
import { readIfThere } from './private-files.ts'
import { StartFault } from './start-fault.ts'

/** The texts among them. @throws {StartFault} for a file that is no TOML. */
export async function readTomlVars(file: string): Promise<Vars> {
  // Most have none, and loading wrangler takes a second.
  if (!/^\s*\[?\s*vars\b/m.test((await readIfThere(file)) ?? '')) return {}
  const { unstable_readConfig } = await import('wrangler')
  try {
    const { vars } = unstable_readConfig({ config: file }, { hideWarnings: true })
    return Object.fromEntries(Object.entries(vars).filter((one): one is [string, string] => typeof one[1] === 'string'))
  } catch (cause) {
    throw new StartFault(`wrangler.toml: ${cause instanceof Error ? cause.message : cause}`, { cause })
  }
}
