// The arguments of a script that npm runs. Whoever gives wrong ones is told in one line what may be given.

import { exit } from 'node:process'
import { type ParseArgsConfig, parseArgs } from 'node:util'

/** As parseArgs. Ends the process where the usage (one line) is asked for with `--help`, or was not kept to. */
export function readArguments<const Config extends ParseArgsConfig>(usage: string, config: Config) {
  if (process.argv.includes('--help')) {
    console.log(usage)
    exit(0)
  }
  try {
    return parseArgs(config)
  } catch (error) {
    // What follows the first sentence is about how to pass such words on.
    return refuseArguments(usage, String(error instanceof Error ? error.message : error).replace(/\. .*/s, ''))
  }
}

export function refuseArguments(usage: string, why: string): never {
  console.error(`${why.replace(/\.$/, '')}. ${usage}`)
  exit(1)
}

/** From 0 or `least` on. */
export function wholeNumber(usage: string, name: string, text: string, least = 0): number {
  const value = Number(text)
  if (/^\d+$/.test(text) && Number.isSafeInteger(value) && value >= least) return value
  return refuseArguments(usage, `${name} needs a whole number from ${least} on, not "${text}"`)
}
