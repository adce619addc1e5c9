// A worker with a price book over KV and a clock and a store that each request may turn: for kv.test.ts.

import { createOverrides } from '../../../src/pricing/overrides.ts'
import { createPriceBook } from '../../../src/pricing/price-book.ts'

const state = { ahead_ms: 0, delay_ms: 0, reads: 0 }
let kv: KVNamespace
const now = () => Date.now() + state.ahead_ms
const get = async () => {
  state.reads += 1
  if (state.delay_ms > 0) await new Promise((resolve) => setTimeout(resolve, state.delay_ms))
  return kv.get('overrides', { cacheTtl: 30 })
}
const put = (value: string) => kv.put('overrides', value)
const book = createPriceBook({ overrides: createOverrides({ get, put }, now), now })

export default {
  async fetch(request: Request, env: { PRICES: KVNamespace }): Promise<Response> {
    kv = env.PRICES
    const { searchParams } = new URL(request.url)
    state.ahead_ms += Number(searchParams.get('ahead_ms') ?? 0)
    state.delay_ms = Number(searchParams.get('delay_ms') ?? state.delay_ms)
    const { source } = await book.explain('openai', 'gpt-4o-mini')
    return Response.json({ source, reads: state.reads })
  },
}
