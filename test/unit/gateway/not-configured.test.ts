// A provider that is known and not switched on: its own clients are told so as by the provider itself.

import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { createApp } from '../../../src/app.ts'
import { createKeyRing } from '../../../src/auth/keys.ts'
import { parseConfig } from '../../../src/config.ts'
import { ledgerOfOnly } from '../../support/ledger-fixtures.ts'

const SECRET = 'a-signing-secret-of-32-characters'
const ENV = {
  DATABASE_URL: 'postgresql://nobody@localhost/none',
  KEY_SIGNING_SECRETS: SECRET,
  ADMIN_TOKEN: 'an-admin-token-of-24-chars',
}
const key = await createKeyRing([SECRET]).issue(crypto.randomUUID(), crypto.randomUUID())
const app = createApp({ config: parseConfig(ENV), ledgerOf: () => ledgerOfOnly({}) })
const post = async (path: string, headers: Record<string, string>) => {
  const answer = await app.request(path, { method: 'POST', headers })
  return { status: answer.status, body: await answer.json() }
}

describe('a provider that is not switched on', () => {
  test('takes the key where its own client sends it', async () => {
    const path = '/azure/openai/deployments/d/chat/completions?api-version=2024-10-21'
    for (const headers of [{ 'api-key': key }, { authorization: `Bearer ${key}` }, { 'x-tollgate-key': key }])
      expect(await post(path, headers)).toMatchObject({ status: 503, body: { error: { code: 'not_configured' } } })
    expect((await post(path, { 'api-key': 'mine' })).status).toBe(401)
  })

  test('says so as it would itself: nobody is to ask again for an hour', async () => {
    const authorization = `Bearer ${key}`
    expect(await post('/openrouter/v1/chat/completions', { authorization })).toMatchObject({
      status: 424,
      body: { error: { code: 424, metadata: { code: 'not_configured' } } },
    })
    expect(await post('/mistral/v1/chat/completions', { authorization })).toMatchObject({
      status: 503,
      body: { object: 'error', message: expect.stringContaining('MISTRAL_API_KEY') },
    })
    expect(await post('/openrouter/v1/chat/completions', {})).toMatchObject({
      status: 401,
      body: { error: { code: 401 } },
    })
  })

  test('is no fault to be logged, however often it is asked for', async () => {
    const error = vi.spyOn(console, 'error').mockImplementation(() => undefined)
    onTestFinished(() => error.mockRestore())
    const chat = (path: string, model: string) => {
      const body = JSON.stringify({ model, messages: [{ role: 'user', content: 'hi' }] })
      return app.request(path, {
        method: 'POST',
        headers: { 'content-type': 'application/json', authorization: `Bearer ${key}` },
        body,
      })
    }
    const answers = [
      await chat('/openai/v1/chat/completions', 'gpt-4o-mini'),
      await chat('/v1/chat/completions', 'mistral/mistral-small-latest'),
    ]
    expect(answers.map(({ status }) => status)).toEqual([503, 503])
    expect(error).not.toHaveBeenCalled()
  })

  test('is to strangers as one that is, whatever they ask for', async () => {
    const configured = createApp({
      config: parseConfig({ ...ENV, GROQ_API_KEY: 'gsk' }),
      ledgerOf: () => ledgerOfOnly({}),
    })
    for (const path of ['/groq', '/groq/v1/chat/completions', '/groq/v1/audio/speech'])
      for (const method of ['GET', 'POST']) {
        const [on, off] = await Promise.all([configured, app].map((one) => one.request(path, { method })))
        expect([on?.status, await on?.text()]).toEqual([401, await off?.text()])
      }
  })
})
