// The user that `npm start` makes, in a Tollgate that an operator has changed.

import { expect, onTestFinished, test } from 'vitest'
import { createDemoUser } from '../../src/local/demo-user.ts'
import { statusOf } from '../support/books.ts'
import { ADMIN_TOKEN, startGateway } from '../support/gateway.ts'

test('a demo user has the limits that its start prints, whatever the default caps are', async () => {
  const gateway = await startGateway()
  onTestFinished(() => gateway.close())
  for (const capType of ['daily', 'monthly']) {
    await gateway.admin.call('PUT', `/admin/default-caps/${capType}`, { limits: { requests: 5 } })
  }
  const { user_id } = await createDemoUser(gateway.url, ADMIN_TOKEN)
  const { data } = await statusOf(gateway, user_id)
  expect(data.map(({ cap_type, limits }) => [cap_type, limits.requests])).toEqual([
    ['daily', 100],
    ['hourly', 50],
  ])
})
