// Which module imports what, and which of it the design forbids: platform modules in portable code, and imports that
// point upwards. Pure; a scan of the text, which is enough for code that biome has formatted.

import { posix } from 'node:path'

/** The only files that may know their platform. `src/local` is what `npm start` needs, and runs on Node alone. */
const PLATFORM_FILES = ['src/index.ts', 'durable-objects/usage-ledger.ts', 'src/local/']

/** From the top down: a module imports from its own line or from lines below, never from one above. */
const LAYERS = [
  ['src/index.ts', 'src/local/'],
  ['src/app.ts', 'durable-objects/usage-ledger.ts'],
  ['src/gateway/', 'src/admin/', 'src/usage/', 'durable-objects/outbox.ts'],
  ['src/rest/'],
  ['src/middleware/', 'src/auth/', 'src/config.ts'],
  ['src/providers/', 'src/pricing/', 'src/postgres/'],
  ['src/', 'durable-objects/'],
]

const LEDGER = 'durable-objects/ledger/'
const IMPORT = /^\s*(?:import|export)\s(type\s)?(?:[^'"`;=()]*\sfrom\s)?\s*['"]([^'"]+)['"]/gm
const DYNAMIC_IMPORT = /\b()import\(\s*['"]([^'"]+)['"]/g

interface Import {
  specifier: string
  type_only: boolean
}

export function importsOf(source: string): Import[] {
  const code = source.replace(/^\s*\/\*[\s\S]*?\*\//gm, '').replace(/^\s*\/\/.*$/gm, '')
  const matches = [IMPORT, DYNAMIC_IMPORT].flatMap((pattern) => [...code.matchAll(pattern)])
  return matches.map(([, type = '', specifier = '']) => ({ specifier, type_only: type !== '' }))
}

/** What is wrong with one import, or null. `file` is relative to the project, with `/`. */
export function faultOf(file: string, { specifier, type_only }: Import): string | null {
  const mayKnowPlatform = PLATFORM_FILES.some((allowed) => file.startsWith(allowed))
  if (/^(cloudflare|node|bun|jsr|https?):/.test(specifier))
    return mayKnowPlatform ? null : 'only Web-standard APIs here, so that it also runs on Deno'
  if (!specifier.startsWith('.')) return null
  const target = posix.join(posix.dirname(file), specifier)
  if (target.startsWith('test/')) return 'nothing may import tests'
  if (file.startsWith(LEDGER) && !target.startsWith(LEDGER) && !type_only)
    return 'the ledger imports nothing outside its folder but types'
  if (layerOf(target) < layerOf(file)) return 'imports point one way: index -> app -> gateway|admin|usage -> the rest'
  return null
}

function layerOf(file: string): number {
  // The longest match decides: `src/` is the bottom for what has no line of its own.
  const matches = LAYERS.flatMap((paths, layer) => paths.map((path) => ({ path, layer })))
  const [best] = matches.filter(({ path }) => file.startsWith(path)).sort((a, b) => b.path.length - a.path.length)
  return best?.layer ?? LAYERS.length
}
