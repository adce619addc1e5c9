// What people ask and are answered is stored and logged nowhere, whichever operation they call and however it ends; and a
// provider's error that repeats the operator's key does not show it.

import { afterAll, beforeAll, expect, test } from 'vitest'
import { CUT, json, type Script } from '../../src/local/fake-script.ts'
import { CASES, FILE, openStage, type Stage } from '../operations/stage.ts'
import { checkBooks } from '../support/books.ts'
import { everyTable, ledgerFiles } from '../support/stored.ts'

const PROMPT = 'canary-in-a-prompt'
/** A word of what the fake's model says. */
const ANSWER = 'sentence'
const ERROR = 'canary-in-an-error'
const QUERY = 'canary-in-a-query'
const HEADER = 'canary-in-a-header'
const CANARIES = [PROMPT, ANSWER, ERROR, QUERY, HEADER, FILE.name, FILE.content]
const ROWS = Object.entries(CASES).flatMap(([provider, cases]) => cases.map((one) => ({ provider, one })))

let stage: Stage
const logs: string[] = []
beforeAll(async () => {
  stage = await openStage({ onLog: (message) => logs.push(message) })
})
afterAll(() => stage.close())

const withPrompt = <T>(sent: T): T => JSON.parse(JSON.stringify(sent).replaceAll(/Hello|a cat/g, PROMPT))

const cut = ({ steps, ...script }: Script): Script => ({ ...script, steps: [...steps.slice(0, -1), CUT] })

/** Says all that was sent, with the key. */
function echo(headers: [name: string, value: string][], body: string): Script {
  const message = `${ERROR} ${body} ${JSON.stringify(headers)}`
  return json({ error: { message, type: ERROR, code: ERROR, status: ERROR, param: ERROR } }, 400)
}

test('what goes through every operation is in no table, ledger or log, and the provider’s key in no error', async () => {
  const user = await stage.gateway.admin.user()
  let echoes = 0
  for (const { provider, one } of ROWS) {
    const { path, headers, ...sent } = withPrompt(one.send)
    const send = async (id?: string) => {
      const query = `${path.includes('?') ? '&' : '?'}note=${QUERY}`
      const marked = { ...sent, path: path + query, headers: { ...headers, 'user-agent': HEADER, 'x-other': HEADER } }
      return (await stage.call(provider, marked, user.key, id)).text().catch(String)
    }
    stage.play(one)
    await send(one.before && (await stage.make(provider, one.before)))
    const play = stage.provider.reply
    stage.provider.reply = (request, usual) => cut(play?.(request, usual) ?? usual())
    await send()
    stage.provider.reply = ({ headers, body }) => echo(headers, body.toString())
    const error = await send()
    expect(error, `${provider} ${one.operation}`).not.toMatch(/(sk|sk-ant|goog|bedrock-api-key|things)-fake/)
    if (error.includes(ERROR)) echoes++
  }
  stage.provider.reply = undefined
  expect(echoes).toBeGreaterThan(60)
  await checkBooks(stage.gateway, [user.id])

  const stored = { tables: await everyTable(stage.gateway), ledgers: (await ledgerFiles(stage.gateway)).toString() }
  for (const [where, text] of Object.entries({ ...stored, logs: logs.join('\n') })) {
    expect(
      CANARIES.filter((canary) => text.includes(canary)),
      where,
    ).toEqual([])
  }
  expect(stored.tables).toContain(user.id)
  expect(stored.ledgers).toContain(user.id)
}, 300_000)
