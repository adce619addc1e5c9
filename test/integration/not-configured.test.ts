// A worker whose variables are wrong opens to nobody, and says which one it is.

import { expect, onTestFinished, test } from 'vitest'
import { ADMIN_TOKEN, startGateway } from '../support/gateway.ts'

test('every request is answered with a 503 that names the variable, never its value, and so is the log', async () => {
  const logs: string[] = []
  const vars = { DATABASE_URL: 'postgresql://u:S3CRET@h', CAP_STATUS: '500' }
  const gateway = await startGateway({ vars, onLog: (message) => logs.push(message) })
  onTestFinished(() => gateway.close())
  for (const [method, path] of [
    ['GET', '/'],
    ['GET', '/admin/users'],
    ['POST', '/openai/v1/chat/completions'],
  ] as const) {
    const answer = await fetch(gateway.url + path, { method, headers: { authorization: `Bearer ${ADMIN_TOKEN}` } })
    const problem = await answer.text()
    expect(answer.status, path).toBe(503)
    expect(answer.headers.get('content-type')).toBe('application/problem+json')
    expect(JSON.parse(problem)).toMatchObject({
      code: 'not_configured',
      detail: expect.stringMatching(/^Tollgate is not configured. DATABASE_URL: .*; CAP_STATUS: /),
      request_id: answer.headers.get('x-tollgate-request-id'),
    })
    expect(problem).not.toContain('S3CRET')
  }
  expect(gateway.provider.requests).toHaveLength(0)
  expect(logs.join()).toContain('CAP_STATUS: must be 402, 403 or 429')
  expect(logs.join()).not.toContain('S3CRET')
})
