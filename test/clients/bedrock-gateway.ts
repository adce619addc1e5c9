// A Tollgate with Bedrock, and AWS's own client of it, whose attempts are counted.

import { BedrockRuntimeClient } from '@aws-sdk/client-bedrock-runtime'
import { NodeHttpHandler } from '@smithy/node-http-handler'
import { AWS_KEYS } from '../../src/local/fake-provider.ts'
import { type Gateway, startGateway } from '../support/gateway.ts'

export const CLAUDE = 'us.anthropic.claude-haiku-4-5-20251001-v1:0'

/** By SigV4. */
export function startBedrock(): Promise<Gateway> {
  return startGateway({
    vars: {
      BEDROCK_REGION: 'eu-west-1',
      BEDROCK_MODELS: JSON.stringify({ 'claude-on-bedrock': CLAUDE }),
      BEDROCK_API_KEY: '',
      AWS_ACCESS_KEY_ID: AWS_KEYS.id,
      AWS_SECRET_ACCESS_KEY: AWS_KEYS.secret,
    },
  })
}

/** HTTP/1: the handler that the SDK takes by itself speaks HTTP/2 to local servers. */
export function bedrockOf(gateway: Gateway, token: string, headers: Record<string, string> = {}) {
  const attempts: { path: string }[] = []
  const client = new BedrockRuntimeClient({
    region: 'us-east-1',
    endpoint: `${gateway.url}/bedrock`,
    token: { token },
    authSchemePreference: ['httpBearerAuth'],
    requestHandler: new NodeHttpHandler(),
  })
  client.middlewareStack.add(
    (next) => async (args) => {
      const request = args.request as { path: string; headers: Record<string, string> }
      attempts.push({ path: request.path })
      Object.assign(request.headers, headers)
      return next(args)
    },
    { step: 'deserialize', priority: 'low' },
  )
  return { client, attempts }
}
