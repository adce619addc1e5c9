// npm run test:fuzz -- [--seed N] [--requests N]: fuzzes every public route of the built worker in workerd.

import { parseArgs } from 'node:util'
import buildWorker from '../support/build.ts'
import { type Failure, fuzz, MOST_GROWTH_MB } from './fuzz.ts'

const { values } = parseArgs({ options: { seed: { type: 'string' }, requests: { type: 'string' } } })
const seed = Number(values.seed ?? Date.now() % 2 ** 31)
const requests = Number(values.requests ?? 20_000)
if (!Number.isSafeInteger(seed) || !Number.isSafeInteger(requests) || requests < 1)
  throw new Error('--seed and --requests are whole numbers')

console.log(`Fuzzing with --seed ${seed} --requests ${requests}`)
buildWorker()
const started = Date.now()
const { sent, failures, answers, rss_mb } = await fuzz({ seed, requests })
console.table(Object.fromEntries([...answers].sort()))
console.log(`${sent} requests in ${Math.round((Date.now() - started) / 1000)} s`)
console.log(`workerd's memory, MB (may grow by ${MOST_GROWTH_MB} after the first half): ${rss_mb.join(' ')}`)
for (const failure of failures) console.error(told(failure))
console.log(failures.length === 0 ? 'No failure.' : `${failures.length} failures with --seed ${seed}`)
process.exit(failures.length === 0 ? 0 : 1)

function told({ fault, request }: Failure): string {
  if (!request) return `\nFAILURE of the run: ${fault}`
  const text = JSON.stringify(request, null, 2)
  return `\nFAILURE: ${fault}\n${text.length > 3_000 ? `${text.slice(0, 3_000)}... (${text.length} characters)` : text}`
}
