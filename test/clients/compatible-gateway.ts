// A Tollgate with OpenAI-compatible providers, all served by one fake under different base paths.

import { answerOpenAI } from '../../src/local/fake-openai.ts'
import { type FakeProvider, type RecordedRequest, startFakeProvider } from '../../src/local/fake-provider.ts'
import type { Script } from '../../src/local/fake-script.ts'
import { type Gateway, startGateway } from '../support/gateway.ts'

export interface CompatibleGateway extends Gateway {
  /** Where the compatible providers are; `provider` is OpenAI's. */
  compatible: FakeProvider
  /** What the next answers become. */
  change: ((usual: Script, request: RecordedRequest) => Script) | null
  lastRequest(): RecordedRequest
}

/** @param varsOf variables by the origin of the fake */
export async function startCompatible(varsOf: (url: string) => Record<string, string>): Promise<CompatibleGateway> {
  const compatible = await startFakeProvider()
  const started = await startGateway({ vars: varsOf(compatible.url) })
  const gateway: CompatibleGateway = {
    ...started,
    compatible,
    change: null,
    lastRequest() {
      const last = compatible.requests.at(-1)
      if (!last) throw new Error('nothing reached the provider')
      return last
    },
    async close() {
      await started.close()
      await compatible.close()
    },
  }
  compatible.reply = (request) => {
    const usual = answerOf(request)
    return gateway.change?.(usual, request) ?? usual
  }
  return gateway
}

/** OpenAI's answer below any base path, to any credential of ours in either header. */
function answerOf({ method, path, headers, body }: RecordedRequest): Script {
  const sent = new Headers(headers)
  const key = sent.get('api-key')
  const authorization = key ? `Bearer ${key}` : (sent.get('authorization') ?? undefined)
  return answerOpenAI(
    method,
    path.replace(/\?.*/, '').replace(/^.*?(\/v1)?(?=\/(chat|models|completions|embeddings|responses))/, '/v1'),
    authorization,
    body,
  )
}
