// What strangers with made-up JWTs cost the operator's identity provider.

import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { eventually, type Gateway, startGateway } from '../support/gateway.ts'
import { times } from '../support/held-calls.ts'

const ISSUER = 'https://idp.test'
const { privateKey, publicKey } = await generateKeyPair('ES256')
const keys = JSON.stringify({ keys: [{ ...(await exportJWK(publicKey)), kid: 'known', alg: 'ES256' }] })

let asked = 0
const { promise: isOpen, resolve: open } = Promise.withResolvers<void>()
const identityProvider = createServer(async (_, response) => {
  asked += 1
  await isOpen
  response.end(keys)
})
let gateway: Gateway
beforeAll(async () => {
  await once(identityProvider.listen(0, '127.0.0.1'), 'listening')
  const { port } = identityProvider.address() as AddressInfo
  gateway = await startGateway({ vars: { JWT_JWKS_URL: `http://127.0.0.1:${port}/jwks`, JWT_ISSUER: ISSUER } })
})
afterAll(async () => {
  await gateway.close()
  identityProvider.close()
  identityProvider.closeAllConnections()
})

const jwt = (kid: string) =>
  new SignJWT({ iss: ISSUER, sub: 'someone' })
    .setProtectedHeader({ alg: 'ES256', kid })
    .setExpirationTime('1h')
    .sign(privateKey)

async function statusWith(kid: string, signal?: AbortSignal): Promise<number> {
  const headers = { authorization: `Bearer ${await jwt(kid)}` }
  return (await fetch(`${gateway.url}/usage/caps`, { headers, ...(signal && { signal }) })).status
}

test('many JWTs at once are one fetch of the keys, also where whoever began it hangs up', async () => {
  const first = new AbortController()
  const gone = statusWith('made up', first.signal).catch(() => 'gone')
  await eventually(
    async () => asked,
    (count) => count === 1,
  )
  first.abort()
  expect(await gone).toBe('gone')

  const strangers = times(100, (index) => statusWith(`made up ${index}`))
  const known = statusWith('known')
  await eventually(
    async () => asked,
    (count) => count > 1,
  )
  open()
  expect(await Promise.all([known, ...strangers])).toEqual([200, ...times(100, () => 401)])
  expect(asked).toBeLessThan(10)
})
