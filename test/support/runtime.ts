// The runtime that workers are tested in: the one that wrangler.toml deploys them to.

import { readFileSync } from 'node:fs'

const settings = readFileSync(`${import.meta.dirname}/../../wrangler.toml`, 'utf8')
/** These values are JSON, too. */
const settingOf = (name: string) => JSON.parse(settings.match(new RegExp(`^${name} = (.*)$`, 'm'))?.[1] ?? '')

export const RUNTIME = {
  compatibilityDate: settingOf('compatibility_date') as string,
  compatibilityFlags: settingOf('compatibility_flags') as string[],
}
