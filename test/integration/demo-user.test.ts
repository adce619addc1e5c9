// The user that `npm start` makes, in a Tollgate that an operator has changed.

import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { createKeyRing } from '../../src/auth/keys.ts'
import { keepDemoUser } from '../../src/local/kept.ts'
import { statusOf } from '../support/books.ts'
import { ADMIN_TOKEN, startGateway } from '../support/gateway.ts'
import { removeFolder, temporaryFolder } from '../support/temporary.ts'

test('a demo user has the limits that its start prints, whatever the default caps are, and is kept while its file is whole and it works', async () => {
  const gateway = await startGateway()
  onTestFinished(() => gateway.close())
  const folder = temporaryFolder('tollgate-demo-')
  onTestFinished(() => removeFolder(folder))
  const file = join(folder, 'demo.json')
  const keep = () => keepDemoUser(file, gateway.url, ADMIN_TOKEN)
  for (const capType of ['daily', 'monthly']) {
    await gateway.admin.call('PUT', `/admin/default-caps/${capType}`, { limits: { requests: 5 } })
  }
  const made = await keep()
  const { data } = await statusOf(gateway, made.user_id)
  expect(data.map(({ cap_type, limits }) => [cap_type, limits.requests])).toEqual([
    ['daily', 100],
    ['hourly', 50],
  ])

  expect(await keep()).toEqual(made)
  const ofOtherDatabase = JSON.stringify({ ...made, user_id: crypto.randomUUID() })
  const ofOtherSecret = JSON.stringify({
    ...made,
    key: await createKeyRing(['other']).issue(made.user_id, made.user_id),
  })
  for (const useless of ['', '{"user_id":"', ofOtherDatabase, ofOtherSecret]) {
    await writeFile(file, useless)
    const other = await keep()
    expect(other.key).not.toBe(made.key)
    expect(useless).not.toContain(other.user_id)
    expect(JSON.parse(await readFile(file, 'utf8'))).toEqual(other)
  }
})
