// Valid bodies and forms to begin with, by the operation's name, or by the route where no provider is behind it. An operation
// that is not here gets a body with a little of everything. Pure.

import type { Json } from './json.ts'
import type { Route } from './product.ts'

const user = (content: Json): Json => ({ role: 'user', content })
const tool = { name: 'look', description: 'Looks', input_schema: { type: 'object', properties: {} } }
const chats: Json[] = [
  { model: 'gpt-4o-mini', max_tokens: 5, messages: [user('Say hi')] },
  { model: 'gpt-4o', stream: true, max_completion_tokens: 7, n: 2, messages: [user('é😀')] },
  {
    model: 'gpt-4o-mini',
    stream: true,
    stream_options: { include_usage: true },
    max_tokens: 3,
    tools: [{ type: 'function', function: { name: 'look', parameters: { type: 'object', properties: {} } } }],
    messages: [
      { role: 'system', content: [{ type: 'text', text: 'Be brief' }] },
      user([{ type: 'image_url', image_url: { url: 'data:image/png;base64,AAAA' } }]),
    ],
    metadata: { a: 'b' },
    response_format: { type: 'json_object' },
    service_tier: 'flex',
  },
]
const messages: Json[] = [
  { model: 'claude-sonnet-4-5', max_tokens: 5, messages: [user('Say hi')] },
  { model: 'claude-on-bedrock', max_tokens: 5, messages: [user('Say hi')] },
  { model: 'claude-on-bedrock', max_tokens: 5, stream: true, messages: [user('Say hi')], tools: [tool] },
  {
    model: 'claude-haiku-4-5-20251001',
    max_tokens: 9,
    stream: true,
    system: [{ type: 'text', text: 'Be brief', cache_control: { type: 'ephemeral', ttl: '1h' } }],
    thinking: { type: 'enabled', budget_tokens: 4 },
    tools: [tool],
    context_management: { edits: [{ type: 'clear_tool_uses_20250919' }] },
    messages: [
      user([{ type: 'text', text: 'é😀', cache_control: { type: 'ephemeral' } }]),
      { role: 'assistant', content: [{ type: 'tool_use', id: 't', name: 'look', input: {} }] },
      user([{ type: 'tool_result', tool_use_id: 't', content: [{ type: 'text', text: 'x' }] }]),
      user([{ type: 'image', source: { type: 'base64', media_type: 'image/png', data: 'AA' } }]),
    ],
  },
]
const invocations: Json[] = [
  { anthropic_version: 'bedrock-2023-05-31', max_tokens: 5, messages: [user('Say hi')] },
  { prompt: 'Say hi', max_gen_len: 5 },
  { inputText: 'Say hi', textGenerationConfig: { maxTokenCount: 5, stopSequences: ['x'] } },
  { messages: [user([{ text: 'Say hi' }])], inferenceConfig: { maxTokens: 5 } },
]
const conversations: Json[] = [
  { messages: [user([{ text: 'Say hi' }])], inferenceConfig: { maxTokens: 5 } },
  {
    messages: [user([{ text: 'é😀' }, { cachePoint: { type: 'default', ttl: '1h' } }])],
    system: [{ text: 'Be brief' }],
    inferenceConfig: { maxTokens: 5, temperature: 0.5, stopSequences: ['x'] },
    toolConfig: { tools: [{ toolSpec: { name: 'look', inputSchema: { json: { type: 'object' } } } }] },
  },
]
const contents: Json[] = [
  { contents: [{ role: 'user', parts: [{ text: 'Say hi' }] }], generationConfig: { maxOutputTokens: 5 } },
  {
    contents: { parts: [{ text: 'é😀' }, { inline_data: { mime_type: 'image/png', data: 'AAAA' } }] },
    system_instruction: { parts: [{ text: 'Be brief' }] },
    generation_config: { max_output_tokens: 9, candidate_count: 2, thinking_config: { thinking_budget: 4 } },
    tools: [{ functionDeclarations: [{ name: 'look', parameters: { type: 'object' } }] }],
  },
]
const content: Json = { content: { parts: [{ text: 'hi' }] } }
const settings = { limits: { requests: 10_000, tokens: null, cost_cents: 12.5 }, on_exceed: 'refuse', is_active: true }
const caps = [{ limits: { requests: null, tokens: 5_000_000 } }, { on_exceed: 'clamp' }, { is_active: false }]
const rates = { input: '0.15', output: 0.6, cached_input: null }
const prices: Json[] = [
  { provider: 'acme', model: 'large-1', usd_per_mtok: rates },
  { provider: 'things', model: 'find', usd_per_request: '0.000000001', note: 'é😀' },
  {
    provider: 'openai',
    model: 'ft:gpt-4o:a::b',
    effective_from: '2027-01-01T00:00:00Z',
    usd_per_mtok: { ...rates, audio_input: 1, cache_write_1h: '1000' },
    usd_per_thousand_web_searches: '10',
    tier_percent: { batch: 50, priority: 200 },
    long_context: [{ above_input_tokens: 200_000, usd_per_mtok: rates }],
    context_window: 1_000_000,
  },
]

/** By `kind.operation`, and `METHOD /path` of REST. */
const BODIES: Record<string, Json[]> = {
  'openai.chat_completions': chats,
  'openai.completions': [
    { model: 'gpt-3.5-turbo-instruct', prompt: ['a', 'b'], max_tokens: 5, n: 2, best_of: 3 },
    { model: 'gpt-3.5-turbo-instruct', prompt: [1, 2, 3], max_tokens: 5, stream: true },
  ],
  'openai.responses': [
    { model: 'gpt-4.1-mini', input: 'Say hi', max_output_tokens: 16 },
    { model: 'gpt-4.1-mini', input: 'Say hi', max_output_tokens: 16, background: true },
    {
      model: 'gpt-4.1-mini',
      stream: true,
      max_output_tokens: 16,
      max_tool_calls: 2,
      tools: [{ type: 'web_search' }, { type: 'function', name: 'look', parameters: { type: 'object' } }],
      input: [user([{ type: 'input_text', text: 'é😀' }])],
      reasoning: { effort: 'low' },
    },
  ],
  'openai.responses_input_tokens': [{ model: 'gpt-4.1-mini', input: 'Say hi' }],
  'openai.embeddings': [{ model: 'text-embedding-3-small', input: ['a', 'é😀'], dimensions: 3 }],
  'openai.moderations': [{ model: 'omni-moderation-latest', input: 'hi' }],
  'openai.images_generations': [
    { model: 'gpt-image-1', prompt: 'a cat', quality: 'low', n: 1 },
    { model: 'gpt-image-1', prompt: 'a cat', stream: true, partial_images: 2 },
    { model: 'dall-e-3', prompt: 'a cat', n: 2 },
  ],
  'openai.audio_speech': [
    { model: 'tts-1', input: 'hi', voice: 'alloy' },
    { model: 'gpt-4o-mini-tts', input: 'hi', voice: 'alloy', stream_format: 'sse' },
  ],
  'openai.batches_create': [
    { input_file_id: 'file-1', endpoint: '/v1/chat/completions', completion_window: '24h', metadata: { a: 'b' } },
  ],
  'anthropic.messages': messages,
  'anthropic.count_tokens': messages,
  'anthropic.message_batches_create': [
    { requests: [0, 0].map((of, n) => ({ custom_id: `c${n}`, params: messages[of] ?? null })) },
    { requests: [{ custom_id: 'é', params: { ...(messages.at(-1) as object), stream: false } }] },
  ],
  'bedrock.invoke_model': invocations,
  'bedrock.invoke_model_stream': invocations,
  'bedrock.converse': conversations,
  'bedrock.converse_stream': conversations,
  'bedrock.count_tokens': conversations.map((converse) => ({ input: { converse } })),
  'google.generate_content': contents,
  'google.stream_generate_content': contents,
  'google.count_tokens': contents,
  'google.embed_content': [content],
  'google.batch_embed_contents': [{ requests: [content, { ...(content as object), taskType: 'SEMANTIC_SIMILARITY' }] }],
  'google.search_text': [{ textQuery: 'pizza', pageSize: 2 }],
  'google.search_nearby': [
    { locationRestriction: { circle: { center: { latitude: 1, longitude: 2 }, radius: 500 } }, maxResultCount: 1 },
  ],
  'google.autocomplete': [{ input: 'piz', sessionToken: 's' }],
  'POST /admin/users': [{ name: 'Ann' }, { name: 'é😀', email: 'a@b.example', time_zone: 'Europe/Berlin' }],
  'PATCH /admin/users/:id': [{ name: 'Bea', email: null }, { time_zone: 'Asia/Kathmandu' }, {}],
  'POST /admin/users/:id/keys': [{ name: 'k', scopes: ['call'], expires_at: '2030-01-01T00:00:00+02:00' }],
  'POST /admin/users/:id/keys/:key_id/rotate': [{ grace_seconds: 60 }, {}],
  'POST /admin/users/:id/caps': ['weekly', 'hourly'].map((cap_type) => ({ cap_type, ...settings })),
  'PATCH /admin/users/:id/caps/:cap_id': caps,
  'PUT /admin/default-caps/:cap_type': [settings],
  'POST /admin/prices': prices,
  'PATCH /admin/prices/:id': [{ usd_per_mtok: rates }, { note: 'n' }, { tier_percent: { batch: null } }],
}

/** For operations without a body of their own: a little of everything. */
const OF_ANY: Json = { ...(chats[0] as object), input: 'hi', prompt: 'hi', name: 'n', contents: [{ parts: [] }] }

export function bodiesOf(route: Route): Json[] {
  const { kind, operation, method, path, samples } = route
  const given = BODIES[operation ? `${kind}.${operation}` : `${method} ${path}`] ?? []
  const own = [...given, ...samples]
  const models = route.path.startsWith('/v1/') ? own.flatMap(withProviders) : own
  return models.length > 0 ? models : [OF_ANY]
}

/** The body for the one endpoint, once for each of several providers. */
function withProviders(body: Json): Json[] {
  const fields = body as { [name: string]: Json }
  return ['openai', 'groq', 'acme', 'anthropic'].map((name) => ({ ...fields, model: `${name}/${fields.model}` }))
}

interface FormFile {
  filename: string
  type: string
  /** A byte a character. */
  content: string
}
export type Form = [name: string, value: string | FormFile][]

const file = (filename: string, type: string, content: string): FormFile => ({ filename, type, content })
const png = file('a.png', 'image/png', '\x89PNG\r\n\x1a\n\0\0\xff')
const wav = file('é.wav', 'audio/wav', 'RIFF\0\0\0\0WAVE\r\n--x\r\n')
const FORMS: Record<string, Form[]> = {
  images_edits: [
    [
      ['model', 'gpt-image-1'],
      ['prompt', 'a cat'],
      ['image', png],
      ['quality', 'low'],
      ['n', '1'],
    ],
    [
      ['model', 'gpt-image-1'],
      ['prompt', 'a cat'],
      ['image[]', png],
      ['image[]', png],
      ['stream', 'true'],
    ],
  ],
  images_variations: [
    [
      ['model', 'dall-e-2'],
      ['image', png],
      ['n', '2'],
    ],
  ],
  audio_transcriptions: [
    [
      ['model', 'gpt-4o-transcribe'],
      ['file', wav],
      ['stream', 'true'],
    ],
    [
      ['model', 'whisper-1'],
      ['file', wav],
      ['response_format', 'verbose_json'],
      ['timestamp_granularities[]', 'word'],
    ],
  ],
  audio_translations: [
    [
      ['model', 'whisper-1'],
      ['file', wav],
    ],
  ],
  files_create: [
    [
      ['purpose', 'batch'],
      ['file', file('b.jsonl', 'application/jsonl', '{"custom_id":"a"}\n')],
    ],
  ],
}

export const formsOf = ({ operation }: Route): Form[] =>
  FORMS[operation ?? ''] ?? [[...(FORMS.images_edits?.[0] ?? []), ['file', wav], ['purpose', 'batch']]]

export const PRICE_TABLES: string[][][] = [
  [
    ['provider', 'model', 'usd_per_mtok.input', 'usd_per_mtok.output', 'note'],
    ['acme', 'large-1', '0.15', '0.6', 'é "😀", \r\nand more'],
    ['acme', 'large-2', '1', '2.000000001', ''],
  ],
  [
    ['model', 'provider', 'usd_per_request', 'effective_from', 'tier_percent.batch', 'long_context'],
    ['find', 'things', '0.01', '2027-01-01T00:00:00Z', '50', ''],
  ],
]
