// Paths of a route's pattern: with what a run has made, with what the fake provider knows, and with what nobody does. Pure.

import fc from 'fast-check'
import { oddValue } from './json.ts'
import type { Kind, Route } from './product.ts'

export const wrongId = fc.oneof(
  fc.uuid(),
  fc.constantFrom('0', '%00', '..', '%2e%2e', 'x', '%F0%9F%98%80', '%ff', '%', '%E0%A4%A', 'status', "'--", '[]', '*'),
  fc.constantFrom(
    'a%2Fb',
    'a%252Fb',
    '%5c',
    'arn%3Aaws%3Abedrock%2F..%2Fx',
    ':search',
    'x:y',
    '@cf/meta/llama',
    ';a=b',
  ),
  oddValue.map((value) => encodeURIComponent(String(JSON.stringify(value)).toWellFormed().slice(0, 300))),
)

const MODELS: Partial<Record<Kind, string[]>> = {
  openai: ['gpt-4o', 'gpt-4o-mini', 'ft:gpt-4o:a::b', 'openai%2Fgpt-4o-mini'],
  anthropic: ['claude-sonnet-4-5-20250929', 'claude-haiku-4-5-20251001'],
  bedrock: [
    'us.anthropic.claude-sonnet-4-5-20250929-v1:0',
    'anthropic.claude-3-haiku-20240307-v1%3A0',
    'meta.llama3-8b-instruct-v1:0',
    'amazon.titan-text-express-v1',
    'amazon.nova-lite-v1:0',
    'arn%3Aaws%3Abedrock%3Aus-east-1%3A1%3Ainference-profile%2Fus.anthropic.claude-sonnet-4-5-20250929-v1%3A0',
  ],
  google: ['gemini-2.5-flash', 'gemini-2.0-flash', 'gemini-embedding-001'],
  caller: ['gpt-4o-mini', 'claude-sonnet-4-5', 'large-1', 'a%2Fb', '@cf%2Fmeta%2Fllama-3'],
}
const KNOWN: Record<string, string[]> = {
  provider: ['openai', 'anthropic', 'acme', 'things', 'nobody'],
  cap_type: ['weekly', 'hourly', 'daily', 'monthly', 'total'],
  place: ['ChIJfake'],
  photo: ['p1'],
}

/** `:id`, `:model{[\w.-]+:generateContent}`. */
const PARAMETER = /:(\w+)(?:\{((?:[^{}]|\{[^}]*\})*)\})?/g

/**
 * What was made by a POST is filled in when the request is sent: `@at(/openai/v1/files/:id)7` is the seventh that there
 * is then. See pool.ts.
 */
export function pathOf({ path, kind }: Route): fc.Arbitrary<string> {
  const found = [...path.matchAll(PARAMETER)]
  const last = found.at(-1)
  if (!last) return fc.constant(path)
  const prefix = path.slice(0, last.index + last[0].length)
  const filled = fc
    .tuple(...found.map(([, name = '', pattern]) => segmentOf(kind, name, pattern)))
    .map((values) => found.reduce((text, [parameter], at) => text.replace(parameter, () => values[at] ?? ''), path))
  if (last[2] || KNOWN[last[1] ?? ''] || last[1] === 'model') return filled
  const made = fc.nat(10_000).map((n) => `@at(${prefix})${n}${path.slice(prefix.length)}`)
  return fc.oneof({ weight: 8, arbitrary: made }, { weight: 1, arbitrary: filled })
}

function segmentOf(kind: Kind, name: string, pattern: string | undefined): fc.Arbitrary<string> {
  const known = name === 'model' ? (MODELS[kind] ?? []) : (KNOWN[name] ?? [])
  if (!pattern) return known.length > 0 ? oneOf(fc.constantFrom(...known), 5) : wrongId
  const asked = new RegExp(`^(?:${pattern})$`)
  const matching = known
    .map((value) => pattern.replace(/\[[^\]]*\]\+|\.\+/, () => value))
    .filter((one) => asked.test(one))
  const any = fc.stringMatching(asked).map((text) => encodeURI(text.toWellFormed()))
  return oneOf(matching.length > 0 ? fc.oneof(fc.constantFrom(...matching), fc.constantFrom(...matching), any) : any, 6)
}

const oneOf = (arbitrary: fc.Arbitrary<string>, weight: number) =>
  fc.oneof({ weight, arbitrary }, { weight: 1, arbitrary: wrongId })
