// What AWS's official client sees of Bedrock through Tollgate, and what Bedrock sees of it.

import {
  AccessDeniedException,
  ConverseCommand,
  type ConverseCommandInput,
  ConverseStreamCommand,
  CountTokensCommand,
  InvokeModelCommand,
  InvokeModelWithResponseStreamCommand,
  ModelErrorException,
  ServiceQuotaExceededException,
  ValidationException,
} from '@aws-sdk/client-bedrock-runtime'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { CUT } from '../../src/local/fake-script.ts'
import {
  allEvents,
  answerWith,
  bytesOf,
  capOf,
  failure,
  GENEROUS,
  lastRequest,
  NOTHING_USED,
  onlyEvent,
  type User,
} from '../support/client-calls.ts'
import { half } from '../support/fault-scripts.ts'
import type { Gateway } from '../support/gateway.ts'
import { inPieces } from '../support/script-changes.ts'
import { bedrockOf, CLAUDE, startBedrock } from './bedrock-gateway.ts'

const SENTENCE = 'Hello from the fake provider : every word of this sentence counts as one token .'
const TOKENS = 16
const HELLO = {
  modelId: CLAUDE,
  messages: [{ role: 'user' as const, content: [{ text: 'hello' }] }],
  inferenceConfig: { maxTokens: 100 },
}
const CLAUDE_BODY = {
  anthropic_version: 'bedrock-2023-05-31',
  max_tokens: 100,
  messages: [{ role: 'user', content: 'hello' }],
}
const ANSWERED = JSON.stringify({
  output: { message: { role: 'assistant', content: [{ text: 'Hello' }] } },
  stopReason: 'end_turn',
  usage: { inputTokens: 5, outputTokens: 1, totalTokens: 6 },
  metrics: { latencyMs: 7 },
})
const HAIKU = { input: 1.1, output: 5.5 }

let gateway: Gateway
let user: User
beforeAll(async () => {
  gateway = await startBedrock()
  user = await gateway.admin.user(GENEROUS)
})
afterEach(() => {
  gateway.provider.reply = undefined
  gateway.provider.requests.length = 0
})
afterAll(() => gateway?.close())

async function streamed(key: string, input: Partial<ConverseCommandInput> = {}) {
  const { client, attempts } = bedrockOf(gateway, key)
  const { stream } = await client.send(new ConverseStreamCommand({ ...HELLO, ...input }))
  let text = ''
  let last: object | undefined
  for await (const event of stream ?? []) {
    text += event.contentBlockDelta?.delta?.text ?? ''
    last = event
  }
  return { text, last, attempts }
}

/** Without a client, which shows neither the bytes nor the headers of an answer. */
const converse = (key: string, verb: 'converse' | 'converse-stream', body: object) =>
  fetch(`${gateway.url}/bedrock/model/${encodeURIComponent(CLAUDE)}/${verb}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })

const invokeInput = (body: object, modelId = CLAUDE) => ({
  modelId,
  contentType: 'application/json',
  body: JSON.stringify(body),
})

async function chunksOf(key: string, body: object, modelId = CLAUDE) {
  const { client } = bedrockOf(gateway, key)
  const { body: stream } = await client.send(new InvokeModelWithResponseStreamCommand(invokeInput(body, modelId)))
  const chunks: Record<string, unknown>[] = []
  for await (const { chunk } of stream ?? []) chunks.push(JSON.parse(new TextDecoder().decode(chunk?.bytes)))
  return chunks
}

/** In nano-dollars, from dollars a million. */
const cost = (input: number, output: number) => Math.ceil(input * HAIKU.input * 1_000 + output * HAIKU.output * 1_000)

describe('answers', () => {
  test('Converse: the answer is Bedrock’s, and its event says what Bedrock said, at the price of the profile', async () => {
    const { id, key } = await gateway.admin.user(GENEROUS)
    const { client, attempts } = bedrockOf(gateway, key)

    const answer = await client.send(new ConverseCommand(HELLO))

    expect(answer.output?.message?.content?.[0]?.text).toBe(SENTENCE)
    expect(attempts).toHaveLength(1)
    expect(answer.$metadata.requestId).toMatch(/^\w{32}$/)
    const inputTokens = answer.usage?.inputTokens ?? 0
    expect(await onlyEvent(gateway, id)).toMatchObject({
      provider: 'bedrock',
      operation: 'converse',
      request_model: CLAUDE,
      provider_request_id: answer.$metadata.requestId,
      usage_source: 'reported',
      input_tokens: inputTokens,
      output_tokens: TOKENS,
      cost_nano_usd: cost(inputTokens, TOKENS),
      stream: false,
    })
  })

  test('ConverseStream: the frames are Bedrock’s, byte for byte, in any chunking', async () => {
    const { last } = answerWith(gateway)
    expect(await streamed(user.key)).toMatchObject({
      text: SENTENCE,
      last: { metadata: { usage: { outputTokens: TOKENS } } },
    })
    const { modelId: _, ...body } = HELLO
    const raw = () => converse(user.key, 'converse-stream', body)
    const whole = await raw()
    expect(whole.headers.get('content-type')).toBe('application/vnd.amazon.eventstream')
    expect(Buffer.from(await whole.arrayBuffer())).toEqual(bytesOf(last()))
    const pieces = answerWith(gateway, (usual) => inPieces(usual, 7))
    expect(Buffer.from(await (await raw()).arrayBuffer())).toEqual(bytesOf(pieces.last()))
  })

  test('a streamed call is settled as Bedrock said', async () => {
    const { id, key } = await gateway.admin.user(GENEROUS)
    await streamed(key)
    expect(await onlyEvent(gateway, id)).toMatchObject({
      operation: 'converse_stream',
      stream: true,
      usage_source: 'reported',
      output_tokens: TOKENS,
      error_class: null,
    })
    expect((await capOf(gateway, id)).held).toEqual(NOTHING_USED)
  })

  const SCHEMA = { type: 'object', properties: { days: { type: 'integer' } } }

  test('Converse: structured output, asked for in Bedrock’s words and in Claude’s, whole and streamed', async () => {
    const structure = { jsonSchema: { schema: JSON.stringify(SCHEMA) } }
    const format = { type: 'json_schema', schema: SCHEMA }
    for (const input of [
      { outputConfig: { textFormat: { type: 'json_schema' as const, structure } } },
      { additionalModelRequestFields: { output_config: { format } } },
    ]) {
      const { output } = await bedrockOf(gateway, user.key).client.send(new ConverseCommand({ ...HELLO, ...input }))
      expect(output?.message?.content).toEqual([{ text: '{"days":3}' }])
      expect((await streamed(user.key, input)).text).toBe('{"days":3}')
    }
  })

  test.each([
    [{ any: {} }, 'weather'],
    [{ tool: { name: 'other' } }, 'other'],
    [{ auto: {} }, undefined],
  ])('Converse: a toolChoice of %j calls %s', async (toolChoice, name) => {
    const tools = ['weather', 'other'].map((name) => ({ toolSpec: { name, inputSchema: { json: SCHEMA } } }))
    const toolConfig = { tools, toolChoice } as ConverseCommandInput['toolConfig']
    const { client } = bedrockOf(gateway, user.key)
    const { output } = await client.send(new ConverseCommand({ ...HELLO, toolConfig }))
    expect(output?.message?.content?.[0]?.toolUse).toEqual(
      name && expect.objectContaining({ name, input: { days: 3 } }),
    )
  })

  test('InvokeModel of Claude, whole and streamed', async () => {
    const { id, key } = await gateway.admin.user(GENEROUS)
    const { body } = await bedrockOf(gateway, key).client.send(new InvokeModelCommand(invokeInput(CLAUDE_BODY)))
    expect(JSON.parse(body.transformToString())).toMatchObject({ type: 'message', content: [{ text: SENTENCE }] })
    const chunks = await chunksOf(key, CLAUDE_BODY)
    expect(chunks.at(-1)).toMatchObject({ type: 'message_stop', 'amazon-bedrock-invocationMetrics': {} })
    const events = await allEvents(gateway, id, 2)
    for (const event of events)
      expect(event).toMatchObject({ usage_source: 'reported', output_tokens: TOKENS, error_class: null })
    expect(events.map(({ operation }) => operation).sort()).toEqual(['invoke_model', 'invoke_model_stream'])
  })

  test('InvokeModel without a content type, as boto3 sends it, is JSON; of Converse it must be said', async () => {
    const { key } = await gateway.admin.user(GENEROUS)
    const post = (operation: string, body: object) =>
      fetch(`${gateway.url}/bedrock/model/${CLAUDE}/${operation}`, {
        method: 'POST',
        headers: { authorization: `Bearer ${key}` },
        // Bytes, so that fetch adds no content type.
        body: new TextEncoder().encode(JSON.stringify(body)),
      })
    expect((await post('invoke', CLAUDE_BODY)).status).toBe(200)
    expect(new Headers(lastRequest(gateway).headers).get('content-type')).toBe('application/json')
    expect(await (await post('converse', HELLO)).json()).toMatchObject({
      message: expect.stringContaining('The content type must be application/json, but there is none.'),
    })
  })

  test.each([
    ['amazon.nova-lite-v1:0', { messages: HELLO.messages, inferenceConfig: { max_new_tokens: 50 } }, TOKENS],
    ['meta.llama3-1-8b-instruct-v1:0', { prompt: 'hello', max_gen_len: 50 }, TOKENS],
    ['mistral.mistral-7b-instruct-v0:2', { prompt: 'hello', max_tokens: 5 }, 5],
    ['amazon.titan-text-express-v1', { inputText: 'hello', textGenerationConfig: { maxTokenCount: 50 } }, TOKENS],
    ['amazon.titan-embed-text-v1', { inputText: 'hello' }, 0],
  ])('%s is metered, whole and streamed', async (modelId, body, output_tokens) => {
    const { id, key } = await gateway.admin.user([{ cap_type: 'total', limits: { tokens: 1e8 } }])
    await bedrockOf(gateway, key).client.send(new InvokeModelCommand(invokeInput(body, modelId)))
    const streams = output_tokens > 0
    if (streams) await chunksOf(key, body, modelId)
    const events = await allEvents(gateway, id, streams ? 2 : 1)
    for (const event of events)
      expect(event).toMatchObject({ usage_source: 'reported', output_tokens, error_class: null })
  })

  test('an ARN is one segment of the path: it reaches Bedrock as it was encoded, and has the price of its model', async () => {
    const { id, key } = await gateway.admin.user(GENEROUS)
    const modelId = `arn:aws:bedrock:us-east-1:123456789012:inference-profile/${CLAUDE}`
    await bedrockOf(gateway, key).client.send(new ConverseCommand({ ...HELLO, modelId }))
    expect(lastRequest(gateway).path).toBe(`/model/${encodeURIComponent(modelId)}/converse`)
    expect(await onlyEvent(gateway, id)).toMatchObject({ request_model: CLAUDE, status: 200 })
  })
})

test('a stored prompt, which holds the messages, passes where no cap needs a bound', async () => {
  const prompt = {
    modelId: 'arn:aws:bedrock:us-east-1:123456789012:prompt/AAAAAAAAAA:1',
    promptVariables: { name: { text: 'Ada' } },
  }
  answerWith(gateway, () => ({ headers: { 'content-type': 'application/json' }, steps: [ANSWERED] }))
  const { key } = await gateway.admin.user([{ cap_type: 'total', limits: { requests: 5 } }])
  await bedrockOf(gateway, key).client.send(new ConverseCommand(prompt))
  const refused = await failure(bedrockOf(gateway, user.key).client.send(new ConverseCommand(prompt)))
  expect(refused).toMatchObject({ name: 'ValidationException', message: expect.stringContaining('modelId') })
})

test('CountTokens passes, counts as a request and costs nothing; its path is as strict as the others', async () => {
  const { id, key } = await gateway.admin.user(GENEROUS)
  const { client } = bedrockOf(gateway, key)
  const input = { invokeModel: { body: new TextEncoder().encode(JSON.stringify(CLAUDE_BODY)) } }
  expect((await client.send(new CountTokensCommand({ modelId: CLAUDE, input }))).inputTokens).toBeGreaterThan(0)
  expect(lastRequest(gateway).path).toBe(`/model/${encodeURIComponent(CLAUDE)}/count-tokens`)
  expect(await onlyEvent(gateway, id)).toMatchObject({
    operation: 'count_tokens',
    usage_source: 'reported',
    cost_usd: 0,
  })
  expect((await capOf(gateway, id)).current_usage).toEqual({ ...NOTHING_USED, requests: 1 })

  gateway.provider.requests.length = 0
  const elsewhere = new CountTokensCommand({ modelId: 'arn:aws:bedrock/../x', input })
  expect(await failure(client.send(elsewhere))).toBeInstanceOf(ValidationException)
  expect(gateway.provider.requests).toHaveLength(0)
})

test('CountTokens whose answer breaks off is raised once, though AWS’s client asks again where a connection breaks', async () => {
  const { id, key } = await gateway.admin.user(GENEROUS)
  const { client, attempts } = bedrockOf(gateway, key)
  answerWith(gateway, (usual) => half(usual, CUT))
  const input = { converse: { messages: HELLO.messages } }
  const error = await failure(client.send(new CountTokensCommand({ modelId: CLAUDE, input })))
  expect(error).toBeInstanceOf(ModelErrorException)
  expect(attempts).toHaveLength(1)
  expect(await onlyEvent(gateway, id)).toMatchObject({ operation: 'count_tokens', error_class: 'upstream_cut' })
})

describe('the request on its way to Bedrock', () => {
  test('is signed with the gateway’s keys; the client’s key stays here', async () => {
    await bedrockOf(gateway, user.key).client.send(new ConverseCommand(HELLO))
    const headers = new Headers(lastRequest(gateway).headers)
    expect(headers.get('authorization')).toMatch(
      /^AWS4-HMAC-SHA256 Credential=AKIAFAKE\w+\/\d{8}\/eu-west-1\/bedrock\//,
    )
    expect(JSON.stringify([...headers])).not.toContain(user.key)
    expect([...headers.keys()].filter((name) => name.includes('tollgate'))).toEqual([])
    expect(headers.get('amz-sdk-invocation-id')).toBeTruthy()
  })

  test('a signature of the client’s is never forwarded', async () => {
    const { client } = bedrockOf(gateway, 'unused', {
      authorization:
        'AWS4-HMAC-SHA256 Credential=AKIACLIENT/20260101/us-east-1/bedrock/aws4_request, SignedHeaders=host, Signature=00',
      'x-amz-date': '20260101T000000Z',
      'x-amz-security-token': 'of-the-client',
      'x-tollgate-key': user.key,
    })
    await client.send(new ConverseCommand(HELLO))
    const sent = JSON.stringify(lastRequest(gateway).headers)
    expect(sent).not.toMatch(/AKIACLIENT|of-the-client|20260101/)
  })

  test('a caller’s own bearer key passes beside x-tollgate-key, unsigned', async () => {
    const { client } = bedrockOf(gateway, 'bedrock-api-key-own-1', { 'x-tollgate-key': user.key })
    await client.send(new ConverseCommand(HELLO))
    expect(new Headers(lastRequest(gateway).headers).get('authorization')).toBe('Bearer bedrock-api-key-own-1')
  })

  test('a clamped bound is written into inferenceConfig, and said in a header', async () => {
    const { key } = await gateway.admin.user([{ cap_type: 'daily', limits: { tokens: 250 } }])
    const body = { messages: HELLO.messages, inferenceConfig: { maxTokens: 50_000, temperature: 0.5 } }
    const { headers } = await converse(key, 'converse', body)
    const { inferenceConfig } = JSON.parse(lastRequest(gateway).body.toString())
    expect(inferenceConfig.temperature).toBe(0.5)
    expect(inferenceConfig.maxTokens).toBeGreaterThanOrEqual(16)
    expect(inferenceConfig.maxTokens).toBeLessThan(250)
    expect(headers.get('tollgate-clamped')).toBe(`output_tokens=${inferenceConfig.maxTokens}`)
  })
})

describe('refusals are typed and raised once', () => {
  async function raised(key: string, input: Partial<ConverseCommandInput> = {}) {
    const { client, attempts } = bedrockOf(gateway, key)
    const error = await failure(client.send(new ConverseCommand({ ...HELLO, ...input })))
    expect(attempts).toHaveLength(1)
    return error as Error & { $metadata: { httpStatusCode?: number; requestId?: string } }
  }

  test('an exceeded cap is a ServiceQuotaExceededException, before and within a stream alike', async () => {
    const { key } = await gateway.admin.user([{ cap_type: 'daily', limits: { requests: 1 } }])
    await bedrockOf(gateway, key).client.send(new ConverseCommand(HELLO))
    const error = await raised(key)
    expect(error).toBeInstanceOf(ServiceQuotaExceededException)
    expect(error.$metadata).toMatchObject({ httpStatusCode: 400, requestId: expect.stringMatching(/^[0-9a-f-]{36}$/) })
    expect(await failure(streamed(key))).toBeInstanceOf(ServiceQuotaExceededException)
    expect(gateway.provider.requests).toHaveLength(1)
  })

  test('a wrong key is an AccessDeniedException', async () => {
    expect(await raised(`${user.key.slice(0, -1)}x`)).toBeInstanceOf(AccessDeniedException)
  })

  test('a wrong field, an unbounded one and an unpriced model are ValidationExceptions that name them', async () => {
    const wrong = await raised(user.key, { inferenceConfig: { maxTokens: 0 } })
    expect(wrong).toBeInstanceOf(ValidationException)
    expect(wrong.message).toContain('inferenceConfig.maxTokens')
    const guardrailConfig = { guardrailIdentifier: 'g', guardrailVersion: '1' }
    expect((await raised(user.key, { guardrailConfig })).message).toContain('guardrailConfig')
    expect(await raised(user.key, { modelId: 'acme.unheard-of-v1:0' })).toBeInstanceOf(ValidationException)
    const tools = [{ systemTool: { name: 'nova_grounding' } }]
    expect((await raised(user.key, { toolConfig: { tools } })).message).toContain('toolConfig.tools[0]')
    expect(gateway.provider.requests).toHaveLength(0)
  })
})
