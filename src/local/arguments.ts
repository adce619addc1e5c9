// The arguments of a script that npm runs. Wrong ones end the script, with one line that says which are right.

import { exit } from 'node:process'
import { type ParseArgsConfig, parseArgs } from 'node:util'

/** As Node's `parseArgs`. Prints the usage (one line) and ends the process at `--help` and at wrong arguments. */
export function readArguments<const Config extends ParseArgsConfig>(usage: string, config: Config) {
  if (process.argv.includes('--help')) {
    console.log(usage)
    exit(0)
  }
  try {
    return parseArgs(config)
  } catch (error) {
    // After its first sentence, Node explains how to pass an argument that begins with a dash.
    return refuseArguments(usage, String(error instanceof Error ? error.message : error).replace(/\. .*/s, ''))
  }
}

export function refuseArguments(usage: string, why: string): never {
  console.error(`${why.replace(/\.$/, '')}. ${usage}`)
  exit(1)
}

/** The number in `text`. Ends the process where that is not a whole number of at least `least`. */
export function wholeNumber(usage: string, name: string, text: string, least = 0): number {
  const value = Number(text)
  if (/^\d+$/.test(text) && Number.isSafeInteger(value) && value >= least) return value
  return refuseArguments(usage, `${name} needs a whole number from ${least} on, not "${text}"`)
}
