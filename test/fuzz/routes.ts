// Every public operation with what it takes. `@clay0` and its like stand for ids, see pool.ts. Pure.

import type { Json } from './json.ts'

export interface Route {
  method: string
  /** `:user` and its like are filled in by the generator. */
  path: string
  surface: 'openai' | 'anthropic' | 'admin' | 'usage' | 'open'
  bodies?: Json[]
  query?: string[]
}

const tool = { name: 'look', description: 'Looks', input_schema: { type: 'object', properties: {} } }
const chats: Json[] = [
  { model: 'gpt-4o-mini', max_tokens: 5, messages: [{ role: 'user', content: 'Say hi' }] },
  { model: 'gpt-4o', stream: true, max_completion_tokens: 7, n: 2, messages: [{ role: 'user', content: 'é😀' }] },
  {
    model: 'gpt-4o-mini',
    stream: true,
    stream_options: { include_usage: true },
    max_tokens: 3,
    tools: [{ type: 'function', function: { name: 'look', parameters: { type: 'object', properties: {} } } }],
    messages: [
      { role: 'system', content: [{ type: 'text', text: 'Be brief' }] },
      { role: 'user', content: [{ type: 'image_url', image_url: { url: 'data:image/png;base64,AAAA' } }] },
    ],
    metadata: { a: 'b' },
    response_format: { type: 'json_object' },
    service_tier: 'flex',
  },
]
const messages: Json[] = [
  { model: 'claude-sonnet-4-5', max_tokens: 5, messages: [{ role: 'user', content: 'Say hi' }] },
  {
    model: 'claude-haiku-4-5-20251001',
    max_tokens: 9,
    stream: true,
    system: [{ type: 'text', text: 'Be brief', cache_control: { type: 'ephemeral', ttl: '1h' } }],
    thinking: { type: 'enabled', budget_tokens: 4 },
    tools: [tool],
    context_management: { edits: [{ type: 'clear_tool_uses_20250919' }] },
    messages: [
      { role: 'user', content: [{ type: 'text', text: 'é😀', cache_control: { type: 'ephemeral' } }] },
      { role: 'assistant', content: [{ type: 'tool_use', id: 't', name: 'look', input: {} }] },
      { role: 'user', content: [{ type: 'tool_result', tool_use_id: 't', content: [{ type: 'text', text: 'x' }] }] },
      { role: 'user', content: [{ type: 'image', source: { type: 'base64', media_type: 'image/png', data: 'AA' } }] },
    ],
  },
]
const settings = { limits: { requests: 10_000, tokens: null, cost_cents: 12.5 }, on_exceed: 'refuse', is_active: true }
const changes = [{ limits: { requests: null, tokens: 5_000_000 } }, { on_exceed: 'clamp' }, { is_active: false }]
const page = ['limit', 'cursor']
const filters = ['key_id', 'provider', 'operation', 'model', 'outcome', 'usage_source', 'job_id', 'batch_id']
const events = [...filters, 'session_id', 'from', 'to', ...page]

const at = (surface: Route['surface'], method: string, path: string, more: Partial<Route> = {}): Route => ({
  method,
  path,
  surface,
  ...more,
})

export const ROUTES: Route[] = [
  at('openai', 'POST', '/openai/v1/chat/completions', { bodies: chats }),
  at('openai', 'GET', '/openai/v1/models', { query: ['limit'] }),
  at('openai', 'GET', '/openai/v1/models/:model'),
  at('anthropic', 'POST', '/anthropic/v1/messages', { bodies: messages }),
  at('anthropic', 'POST', '/anthropic/v1/messages/count_tokens', { bodies: messages }),
  at('anthropic', 'GET', '/anthropic/v1/models', { query: ['limit', 'after_id'] }),
  at('anthropic', 'GET', '/anthropic/v1/models/:model'),
  at('admin', 'POST', '/admin/users', {
    bodies: [{ name: 'Ann' }, { name: 'é😀', email: 'a@b.example', time_zone: 'Europe/Berlin' }],
  }),
  at('admin', 'GET', '/admin/users', { query: ['status', ...page] }),
  at('admin', 'GET', '/admin/users/:user'),
  at('admin', 'PATCH', '/admin/users/:user', {
    bodies: [{ name: 'Bea', email: null }, { time_zone: 'Asia/Kathmandu' }, {}],
  }),
  at('admin', 'POST', '/admin/users/:user/suspend'),
  at('admin', 'POST', '/admin/users/:user/activate'),
  at('admin', 'POST', '/admin/users/:user/activate'),
  at('admin', 'DELETE', '/admin/users/:spare'),
  at('admin', 'POST', '/admin/users/:user/keys', {
    bodies: [{ name: 'k', scopes: ['call'], expires_at: '2030-01-01T00:00:00+02:00' }, { name: 'é' }],
  }),
  at('admin', 'GET', '/admin/users/:user/keys', { query: page }),
  at('admin', 'GET', '/admin/users/:user/keys/:key'),
  at('admin', 'DELETE', '/admin/users/:user/keys/:key'),
  at('admin', 'POST', '/admin/users/:user/keys/:key/rotate', { bodies: [{ grace_seconds: 60 }, {}] }),
  at('admin', 'POST', '/admin/users/:user/caps', { bodies: [{ cap_type: 'weekly', ...settings }] }),
  at('admin', 'GET', '/admin/users/:user/caps'),
  at('admin', 'GET', '/admin/users/:user/caps/status'),
  at('admin', 'GET', '/admin/users/:user/caps/:cap'),
  at('admin', 'PATCH', '/admin/users/:user/caps/:cap', { bodies: changes }),
  at('admin', 'DELETE', '/admin/users/:user/caps/:cap'),
  at('admin', 'GET', '/admin/default-caps'),
  at('admin', 'PUT', '/admin/default-caps/:type', { bodies: [settings] }),
  at('admin', 'DELETE', '/admin/default-caps/:type'),
  at('admin', 'GET', '/admin/usage/events', { query: ['user_id', ...events] }),
  at('usage', 'GET', '/usage/caps'),
  at('usage', 'GET', '/usage/caps/status'),
  at('usage', 'GET', '/usage/events', { query: events }),
  at('open', 'GET', '/openapi.json'),
  at('open', 'GET', '/'),
]
