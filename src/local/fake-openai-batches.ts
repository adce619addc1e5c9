// OpenAI's files and batches. At the first poll a batch is still running, at the second it is done.
// https://platform.openai.com/docs/api-reference/batch

import { type FakeFile, memory, missing, parseForm, refusal, unparsed } from './fake-openai-wire.ts'
import { json, type Script } from './fake-script.ts'
import { type Body, parseBody, randomId } from './fake-text.ts'

interface KeptFile extends FakeFile {
  purpose: string
}

const files = memory<KeptFile>()
const batches = memory<{ batch: Body; polls: number }>()

const BATCH_USAGE = {
  input_tokens: 1_000,
  input_tokens_details: { cached_tokens: 200 },
  output_tokens: 500,
  output_tokens_details: { reasoning_tokens: 100 },
  total_tokens: 1_500,
}

export function keepFiles(method: string, path: string, bytes: Buffer, content_type: string): Script {
  const [, , , id = '', action] = path.split('/')
  if (method === 'POST' && !id) {
    const form = parseForm(bytes, content_type)
    const file = form?.get('file')
    if (!form || !file || typeof file === 'string') return missing('file')
    const created = randomId('file-', 22)
    const kept = { ...file, purpose: String(form.get('purpose') ?? '') }
    files.set(created, kept)
    return json(describe(created, kept))
  }
  const file = files.get(id)
  if (!file) return refusal(404, `No such File object: ${id}`, { param: 'id' })
  if (method === 'GET' && action === 'content')
    return { headers: { 'content-type': 'application/octet-stream' }, steps: [file.bytes] }
  if (method === 'DELETE') {
    files.delete(id)
    return json({ id, object: 'file', deleted: true })
  }
  return method === 'GET' && !action ? json(describe(id, file)) : refusal(404, `Invalid URL (${method} ${path})`)
}

function describe(id: string, { bytes, filename, purpose }: KeptFile): Body {
  return { id, object: 'file', bytes: bytes.length, created_at: 1, filename, purpose, status: 'processed' }
}

export function runBatches(method: string, path: string, bytes: Buffer): Script {
  const [, , , id = '', action] = path.split('/')
  if (method === 'POST' && !id) {
    const body = parseBody(bytes)
    if (!body) return unparsed()
    for (const field of ['input_file_id', 'endpoint', 'completion_window']) if (!body[field]) return missing(field)
    const batch = {
      id: randomId('batch_', 32),
      object: 'batch',
      endpoint: body.endpoint,
      input_file_id: body.input_file_id,
      completion_window: body.completion_window,
      model: 'gpt-4o-mini-2024-07-18',
      status: 'validating',
      created_at: 1,
      request_counts: { total: 0, completed: 0, failed: 0 },
      usage: null,
    }
    batches.set(batch.id, { batch, polls: 0 })
    return json(batch)
  }
  const found = batches.get(id)
  if (!found) return refusal(404, `No batch found with id '${id}'.`)
  if (method === 'POST' && action === 'cancel') {
    found.batch = { ...found.batch, status: 'cancelled', usage: BATCH_USAGE }
    return json({ ...found.batch, status: 'cancelling', usage: null })
  }
  if (method !== 'GET' || action) return refusal(404, `Invalid URL (${method} ${path})`)
  found.polls += 1
  if (found.polls < 2) return json({ ...found.batch, status: 'in_progress' })
  if (found.batch.status === 'validating') {
    const request_counts = { total: 2, completed: 2, failed: 0 }
    found.batch = { ...found.batch, status: 'completed', request_counts, usage: BATCH_USAGE }
  }
  return json(found.batch)
}
