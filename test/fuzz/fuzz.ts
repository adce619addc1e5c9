// A fuzzing run: workers that send generated requests to a gateway and shrink what fails, then the memory and the books.

import fc from 'fast-check'
import { answerOpenAI } from '../../src/local/fake-openai.ts'
import { type Reply, startFakeProvider } from '../../src/local/fake-provider.ts'
import { checkBooks } from '../support/books.ts'
import { eventually, type Gateway, startGateway } from '../support/gateway.ts'
import { faultOf, signatureOf } from './faults.ts'
import { growthOf, type MemorySample, sampleMemory } from './memory.ts'
import { conclude, fillPool, JWT_VARS, learn, type Pool, resolved } from './pool.ts'
import { providerVars, type Route, routesOfProduct } from './product.ts'
import { type FuzzRequest, requestsTo } from './requests.ts'
import { newAgent, send } from './send.ts'

interface FuzzOptions {
  seed: number
  requests: number
  concurrency?: number
  /** Time for all requests; what was not sent by then is a failure. */
  longest_ms?: number
  /** The built worker. Default: the one that the tests share. */
  worker?: string
}

export interface Failure {
  fault: string
  /** The smallest request found that shows it; null for a fault of the run as a whole. */
  request: FuzzRequest | null
}

export interface FuzzReport {
  sent: number
  failures: Failure[]
  routes: number
  /** `POST /admin/users` -> `2xx` -> how many. */
  answers: Map<string, Record<string, number>>
  /** What became of requests that were sent again, see send.ts. */
  races: string[]
  memory: MemorySample[]
}

/** A run of fewer is a warm-up for memory, and too short for each route to succeed once. */
export const LEAST_REQUESTS_FOR_WHOLE = 10_000
const MEMORY_SAMPLES = 10

export async function fuzz({
  seed,
  requests,
  concurrency = 16,
  longest_ms = 300_000,
  worker,
}: FuzzOptions): Promise<FuzzReport> {
  const logs: string[] = []
  const isWhole = requests >= LEAST_REQUESTS_FOR_WHOLE
  const others = await startFakeProvider({ reply: readable(answerCompatible) })
  const gateway = await startGateway({
    vars: { ...JWT_VARS, ...providerVars(others.url) },
    onLog: (message) => logs.push(message),
    reply: readable((_, usual) => usual()),
    inspect: isWhole,
    ...(worker && { worker }),
  })
  try {
    const routes = await routesOfProduct()
    const anyRequest = requestsTo(routes)
    const pool = await fillPool(gateway, routes)
    const agent = newAgent()
    const report: FuzzReport = {
      sent: 0,
      failures: [],
      routes: routes.length,
      answers: new Map(routes.map(({ method, path }) => [`${method} ${path}`, {}])),
      races: [],
      memory: [],
    }
    const known = new Set<string>()
    /** Calls that were answered well. */
    const answered = new Set<string>()
    const deadline = Date.now() + longest_ms

    const tryOne = async (generated: FuzzRequest) => {
      if (Date.now() > deadline) return
      const request = resolved(generated, pool)
      const answer = await send(gateway.url, agent, request, (why) => report.races.push(why))
      report.sent += 1
      if (isWhole && report.sent % Math.ceil(requests / MEMORY_SAMPLES) === 0)
        report.memory.push(await sampleMemory(gateway, report.sent))
      const status = 'lost' in answer ? answer.lost : `${Math.floor(answer.status / 100)}xx`
      count(report.answers, request, status)
      if ('status' in answer && status === '2xx') learn(pool, request, answer.text)
      if ('status' in answer && status === '2xx' && isMetered(request))
        answered.add(String(answer.headers['x-tollgate-request-id']))
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
    ofRun(isWhole ? neverSucceeded(routes, report.answers) : null)
    ofRun(isWhole ? growthOf(report.memory) : null)
    ofRun(await faultOfBooks(gateway, pool, answered))
    const told = logs.filter((line) => !NOISE.test(line))
    ofRun(told.length > 0 ? `the worker logged ${told.length} faults: ${told[0]}` : null)
    return report
  } finally {
    await gateway.close()
    await others.close()
  }
}

/**
 * The run itself cuts requests short, and workerd warns of odd headers. Anything else in the log is a fault, even the failure
 * of work that nobody waits for and that is tried again.
 */
const NOISE = /Network connection lost\.|^A header value for /

/** Where the fake provider cannot read a request (it checks less than its types say), it answers 400, as real ones do. */
function readable(reply: Reply): Reply {
  return (request, usual) => {
    try {
      return reply(request, usual)
    } catch (error) {
      const text = request.path.includes(':') || request.path.startsWith('/model') ? googleRefusal : refusalOfBoth
      return { status: 400, headers: { 'content-type': 'application/json' }, steps: [text(String(error))] }
    }
  }
}

/** Readable as OpenAI's error and as Anthropic's. */
const refusalOfBoth = (message: string) =>
  JSON.stringify({
    type: 'error',
    request_id: 'req_fake',
    error: { message, type: 'invalid_request_error', param: null, code: null },
  }).replace('"code":null', '"code":"unreadable"')

/** Readable as Google's error and as Bedrock's. */
const googleRefusal = (message: string) =>
  JSON.stringify({ message, error: { code: 400, message, status: 'INVALID_ARGUMENT' } })

/** OpenAI's answers below any base path, to a key in either header; services that are paid by the call as usual. */
const answerCompatible: Reply = ({ method, path, headers, body }, usual) => {
  const sent = new Headers(headers)
  if (sent.has('x-things-key')) return usual()
  const key = sent.get('api-key')
  const authorization = key ? `Bearer ${key}` : (sent.get('authorization') ?? undefined)
  const own = path.replace(/^.*?(\/v1)?(?=\/(chat|models|completions|embeddings|responses))/, '/v1')
  return answerOpenAI(method, own, authorization, body, sent.get('content-type') ?? undefined)
}

function count(answers: FuzzReport['answers'], { route }: FuzzRequest, kind: string): void {
  const counts = answers.get(route) ?? {}
  counts[kind] = (counts[kind] ?? 0) + 1
  answers.set(route, counts)
}

/** Finds routes that refused every request: they have not been fuzzed. */
function neverSucceeded(routes: Route[], answers: FuzzReport['answers']): string | null {
  const never = routes
    .filter(({ can_succeed }) => can_succeed)
    .map(({ method, path }) => `${method} ${path}`)
    // A photo's answer is a redirect.
    .filter((name) => !answers.get(name)?.['2xx'] && !answers.get(name)?.['3xx'])
  return never.length > 0 ? `never a success of ${never.join(', ')}: see bodies.ts` : null
}

/** True where a provider is behind the route: not for REST, nor for the menu of models. */
const isMetered = ({ kind, path }: FuzzRequest) =>
  !['admin', 'caller', 'open'].includes(kind) && !path.startsWith('/v1/models')

/** Includes users that JWTs have made: without a cap there are no sums to compare, but each call has its event. */
async function faultOfBooks(gateway: Gateway, pool: Pool, answered: Set<string>): Promise<string | null> {
  const callers = () =>
    gateway.postgres.database.query({ query: 'select distinct user_id from usage_events', params: [] })
  try {
    const { rows } = await eventually(callers, (found) => found.rows.length > 0, 2_000)
    const ids = [...new Set([...pool.stable, ...pool.clay, ...rows.flatMap(([id]) => id ?? [])])]
    await conclude(gateway, pool, ids)
    const { events } = await checkBooks(gateway, ids)
    const recorded = new Set(events.map(({ id }) => id))
    const missing = [...answered].filter((id) => !recorded.has(id))
    return missing.length > 0 ? `${missing.length} answered calls have no event: ${missing[0]}` : null
  } catch (error) {
    return String(error)
  }
}
