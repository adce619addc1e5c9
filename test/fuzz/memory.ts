// Whether the worker's memory is flat.
//
// Resident memory says little within a run: V8 collects old objects late, and even a bare pass-through's process grows by some
// 350 MB over its first 25,000 calls (test/bench/README.md). So the heap is measured right after a full collection, through
// V8's inspector: what is there then is held by someone, as are the buffers that V8 counts beside it. Worker and ledgers share
// that heap. Memory outside the heap and its buffers (SQLite, streams) shows in the resident memory alone, whose limit is only
// there to stop the worst.

import { readFileSync } from 'node:fs'
import { workerdPids } from '../bench/processes.ts'
import type { Gateway } from '../support/gateway.ts'

export interface MemorySample {
  /** Requests sent so far. */
  sent: number
  /** Live objects after a full collection. */
  heap_mb: number
  /** Buffers outside the heap that live objects hold. */
  buffers_mb: number
  /** Resident memory of the process; 0 where there is no /proc. */
  rss_mb: number
}

/** By how much live objects may grow in the second half, with their buffers. A leak of 1 KB a request shows in 20,000. */
export const MOST_HEAP_GROWTH_MB = 5
export const MOST_RSS_GROWTH_MB = 600

/** workerd lets the inspector in when something goes on in the isolate. Where nothing did, it was seen to wait for minutes. */
const STIRRED_EVERY_MS = 100

export async function sampleMemory(
  { url, inspector }: Pick<Gateway, 'url' | 'inspector'>,
  sent: number,
): Promise<MemorySample> {
  const socket = new WebSocket((await inspector()).href)
  const stirring = setInterval(() => fetch(url).then((answer) => answer.text(), String), STIRRED_EVERY_MS)
  try {
    await new Promise((resolve, reject) => {
      socket.addEventListener('open', resolve)
      socket.addEventListener('close', () => reject(new Error('the inspector does not answer')))
    })
    // Twice: what finalizers of the first collection let go, only the second one collects.
    await ask(socket, 1, 'HeapProfiler.collectGarbage')
    await ask(socket, 2, 'HeapProfiler.collectGarbage')
    const { usedSize, backingStorageSize } = await ask(socket, 3, 'Runtime.getHeapUsage')
    const buffers_mb = Number(backingStorageSize) / 1e6
    return { sent, heap_mb: Number(usedSize) / 1e6, buffers_mb, rss_mb: rssMb() }
  } finally {
    clearInterval(stirring)
    socket.close()
  }
}

function ask(socket: WebSocket, id: number, method: string): Promise<{ [name: string]: unknown }> {
  const { promise, resolve, reject } = Promise.withResolvers<{ [name: string]: unknown }>()
  const hear = ({ data }: MessageEvent) => {
    const answer = JSON.parse(String(data))
    if (answer.id !== id) return
    socket.removeEventListener('message', hear)
    if (answer.error) reject(new Error(`${method}: ${answer.error.message}`))
    else resolve(answer.result)
  }
  socket.addEventListener('message', hear)
  socket.addEventListener('close', () => reject(new Error('the inspector went away')))
  socket.send(JSON.stringify({ id, method, params: {} }))
  return promise
}

/** Resident memory of every workerd that this process started. */
function rssMb(): number {
  return workerdPids().reduce((sum, pid) => {
    const pages = Number(readFileSync(`/proc/${pid}/statm`, 'utf8').split(' ')[1])
    return sum + Math.round((pages * 4096) / 1e6)
  }, 0)
}

/** Null where memory is flat. The first half is the warm-up: caches fill, code is compiled. */
export function growthOf(samples: MemorySample[]): string | null {
  const second = samples.slice(Math.floor(samples.length / 2))
  const [first, last] = [second[0], second.at(-1)]
  if (!first || !last || second.length < 4) return 'memory was not measured often enough'
  // A sample may fall into a large request: the lowest of two is what stays.
  const low = (of: MemorySample[]) => Math.min(...of.map(({ heap_mb, buffers_mb }) => heap_mb + buffers_mb))
  const heap = low(second.slice(-2)) - low(second.slice(0, 2))
  if (heap > MOST_HEAP_GROWTH_MB) return `live objects grew by ${heap.toFixed(1)} MB in the second half`
  const rss = last.rss_mb - first.rss_mb
  return rss > MOST_RSS_GROWTH_MB ? `workerd grew by ${rss} MB in the second half` : null
}
