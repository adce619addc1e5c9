// The worker as it is, in an isolate that goes on when variables change, as Cloudflare's may: POST /variables changes them.

import tollgate from '../../src/index.ts'

export { UsageLedger } from '../../src/index.ts'

let changed: Env | undefined

export default {
  async fetch(request, env, ctx) {
    const current = changed ?? env
    if (new URL(request.url).pathname !== '/variables') return tollgate.fetch(request, current, ctx)
    changed = { ...current, ...(await request.json<Partial<Env>>()) }
    return new Response()
  },
} satisfies ExportedHandler<Env>
