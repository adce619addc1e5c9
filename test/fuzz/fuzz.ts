// A fuzzing run: workers that send generated requests to a gateway and shrink what fails, then the memory and the books.

import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { workerdPids } from '../bench/processes.ts'
import { checkBooks } from '../support/books.ts'
import { eventually, type Gateway, startGateway } from '../support/gateway.ts'
import { faultOf, signatureOf } from './faults.ts'
import { fillPool, JWT_VARS, learn, type Pool, resolved } from './pool.ts'
import { anyRequest, type FuzzRequest } from './requests.ts'
import { newAgent, send } from './send.ts'

export interface FuzzOptions {
  seed: number
  requests: number
  concurrency?: number
  /** Of the whole run but its end; what was not sent by then is a failure. */
  longest_ms?: number
}

export interface Failure {
  fault: string
  /** The smallest request found that shows it; null where it is of the run as a whole. */
  request: FuzzRequest | null
}

export interface FuzzReport {
  sent: number
  failures: Failure[]
  /** `POST /admin/users` -> `2xx` -> how many. */
  answers: Map<string, Record<string, number>>
  /** Resident memory of workerd after each twentieth of the run. */
  rss_mb: number[]
}

/** By how much the median of the last quarter may exceed that of the one before; the first half is the warm-up. */
export const MOST_GROWTH_MB = 64
/** Below that the run is a warm-up and nothing else. */
const LEAST_REQUESTS_FOR_MEMORY = 10_000

export async function fuzz({
  seed,
  requests,
  concurrency = 16,
  longest_ms = 210_000,
}: FuzzOptions): Promise<FuzzReport> {
  const logs: string[] = []
  const gateway = await startGateway({
    vars: JWT_VARS,
    onLog: (message) => logs.push(message),
    // The fake provider demands less of a request than its types say: what it cannot read is a 400, as the real ones do.
    reply: (_, usual) => {
      try {
        return usual()
      } catch (error) {
        return { status: 400, headers: { 'content-type': 'application/json' }, steps: [refusalOfBoth(String(error))] }
      }
    },
  })
  try {
    const pool = await fillPool(gateway, Math.max(5, Math.floor(requests / 100)))
    const agent = newAgent()
    const report: FuzzReport = { sent: 0, failures: [], answers: new Map(), rss_mb: [] }
    const known = new Set<string>()
    const deadline = Date.now() + longest_ms

    const tryOne = async (generated: FuzzRequest) => {
      if (Date.now() > deadline) return
      const request = resolved(generated, pool)
      const answer = await send(gateway.url, agent, request)
      report.sent += 1
      if (report.sent % Math.ceil(requests / 20) === 0) report.rss_mb.push(rssMb())
      count(report.answers, request, 'lost' in answer ? answer.lost : `${Math.floor(answer.status / 100)}xx`)
      if ('status' in answer && answer.status === 201) learn(pool, request, answer.text)
      const fault = faultOf(request, answer)
      if (fault && !known.has(signatureOf(request, fault))) throw new Error(fault)
    }
    const work = async (first: number, share: number) => {
      for (let left = share, next = first; left > 0; next += concurrency) {
        const run = await fc.check(fc.asyncProperty(anyRequest, tryOne), { seed: next, numRuns: left })
        left -= Math.max(1, run.numRuns)
        if (!run.failed) continue
        const [request] = run.counterexample ?? []
        const fault = run.errorInstance instanceof Error ? run.errorInstance.message : String(run.errorInstance)
        const signature = request ? signatureOf(request, fault) : fault
        if (!known.has(signature)) report.failures.push({ fault, request: request ?? null })
        known.add(signature)
      }
    }
    await Promise.all(Array.from({ length: concurrency }, (_, n) => work(seed + n, Math.ceil(requests / concurrency))))
    agent.destroy()

    const ofRun = (fault: string | null) => fault !== null && report.failures.push({ fault, request: null })
    ofRun(report.sent < requests ? `only ${report.sent} of ${requests} requests were sent in time` : null)
    ofRun(requests < LEAST_REQUESTS_FOR_MEMORY ? null : growthOf(report.rss_mb))
    ofRun(await faultOfBooks(gateway, pool))
    // The run itself cuts requests short.
    const unexpected = logs.filter((line) => /"unexpected"|internal_error/.test(line) && !line.includes(CUT_SHORT))
    ofRun(unexpected.length > 0 ? `the worker logged ${unexpected.length} faults: ${unexpected[0]}` : null)
    return report
  } finally {
    await gateway.close()
  }
}

const CUT_SHORT = 'Network connection lost.'

/** Readable as OpenAI's error and as Anthropic's. */
const refusalOfBoth = (message: string) =>
  JSON.stringify({
    type: 'error',
    request_id: 'req_fake',
    error: { message, type: 'invalid_request_error', param: null, code: null },
  }).replace('"code":null', '"code":"unreadable"')

function count(answers: FuzzReport['answers'], { route }: FuzzRequest, kind: string): void {
  const counts = answers.get(route) ?? {}
  counts[kind] = (counts[kind] ?? 0) + 1
  answers.set(route, counts)
}

/** Of every workerd that this process started; 0 where there is no /proc. */
function rssMb(): number {
  return workerdPids().reduce((sum, pid) => {
    const pages = Number(readFileSync(`/proc/${pid}/statm`, 'utf8').split(' ')[1])
    return sum + Math.round((pages * 4096) / 1e6)
  }, 0)
}

function growthOf(rss: number[]): string | null {
  const median = (of: number[]) => of.toSorted((a, b) => a - b)[Math.floor(of.length / 2)] ?? 0
  const quarter = Math.floor(rss.length / 4)
  const growth = median(rss.slice(-quarter)) - median(rss.slice(-2 * quarter, -quarter))
  return growth > MOST_GROWTH_MB ? `workerd grew by ${growth} MB after its warm-up: ${rss.join(', ')}` : null
}

/** Also of those whom JWTs made. Limits of `clay` may have been set below what was used. */
async function faultOfBooks(gateway: Gateway, { stable, clay }: Pool): Promise<string | null> {
  const callers = () =>
    gateway.postgres.database.query({ query: 'select distinct user_id from usage_events', params: [] })
  const { rows } = await eventually(callers, (found) => found.rows.length > 0, 2_000)
  if (rows.length === 0) return 'no call was recorded at all'
  const ids = new Set([...stable, ...clay, ...rows.flatMap(([id]) => id ?? [])])
  try {
    await checkBooks(gateway, [...ids])
    return null
  } catch (error) {
    const faults = String(error).split('\n').slice(1)
    const real = faults.filter((line) => !(/ used of /.test(line) && clay.some((id) => line.includes(id))))
    return faults.length > 0 && real.length === 0 ? null : [String(error), ...real].join('\n')
  }
}
