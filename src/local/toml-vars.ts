// The `[vars]` of wrangler.toml, which the worker has in addition to those of `.dev.vars`.

import type { Vars } from './dev-vars.ts'
import { readIfThere } from './private-files.ts'
import { StartFault } from './start-fault.ts'

/**
 * A value that is not text becomes JSON: Tollgate's variables may be written either way.
 * @throws {StartFault} for a file that is not TOML.
 */
export async function readTomlVars(file: string): Promise<Vars> {
  // Most files have no variables, and loading wrangler takes a second.
  if (!/^[\s[]*vars\b/m.test((await readIfThere(file)) ?? '')) return {}
  const { unstable_readConfig } = await import('wrangler')
  try {
    const { vars } = unstable_readConfig({ config: file }, { hideWarnings: true })
    const textOf = (value: unknown) => (typeof value === 'string' ? value : JSON.stringify(value))
    return Object.fromEntries(Object.entries(vars).map(([name, value]) => [name, textOf(value)]))
  } catch (cause) {
    throw new StartFault(`wrangler.toml: ${cause instanceof Error ? cause.message : cause}`, { cause })
  }
}
