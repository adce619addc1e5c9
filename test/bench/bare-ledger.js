// The least that a cap with a record of each call costs on this runtime: one Durable Object per user that admits without a
// write, a worker that reads the answer's usage, and a row on disk before the answer's last bytes. No keys, prices or
// windows, nothing in Postgres, and nothing for what goes wrong: a crash, a client that leaves, an answer that breaks off.
// JavaScript, as pass-through.js.

import { DurableObject } from 'cloudflare:workers'

const LIMIT = 1e12

export class BareLedger extends DurableObject {
  #held = 0
  #used

  constructor(state, env) {
    super(state, env)
    this.sql = state.storage.sql
    this.sql.exec('create table if not exists calls (id text primary key, tokens integer, event text)')
    this.#used = this.sql.exec('select coalesce(sum(tokens), 0) as used from calls').one().used
  }

  reserve(most) {
    if (this.#used + this.#held + most > LIMIT) return false
    this.#held += most
    return true
  }

  settle(most, tokens, event) {
    this.sql.exec('insert into calls values (?, ?, ?)', crypto.randomUUID(), tokens, event)
    this.#held -= most
    this.#used += tokens
  }
}

export default {
  async fetch(request, env) {
    const user = request.headers.get('authorization')
    const { pathname } = new URL(request.url)
    const body = await request.text()
    const { max_tokens, stream } = JSON.parse(body)
    const most = body.length + max_tokens
    const ledger = env.BARE_LEDGER.get(env.BARE_LEDGER.idFromName(user))
    if (!(await ledger.reserve(most))) return new Response('the cap is reached', { status: 429 })

    const answer = await fetch(env.UPSTREAM + pathname, { method: 'POST', headers: request.headers, body })
    const settle = (usage) => ledger.settle(most, usage.total_tokens, JSON.stringify({ user, pathname, usage }))
    if (stream) return new Response(metered(answer.body.getReader(), settle), answer)
    const text = await answer.text()
    await settle(JSON.parse(text).usage)
    return new Response(text, answer)
  },
}

/** Passed on one piece late, so that the last one waits for the record. */
function metered(reader, settle) {
  const decoder = new TextDecoder()
  let text = ''
  let waiting
  const read = async () => {
    const { value } = await reader.read()
    text += decoder.decode(value, { stream: true })
    return value
  }
  return new ReadableStream(
    {
      async pull(client) {
        waiting ??= await read()
        const next = await read()
        if (!next) await settle(usageIn(text))
        client.enqueue(waiting)
        if (!next) client.close()
        waiting = next
      },
    },
    { highWaterMark: 0 },
  )
}

/** The usage in the last event before `[DONE]`. */
const usageIn = (text) => JSON.parse(text.split('data: ').at(-2)).usage
