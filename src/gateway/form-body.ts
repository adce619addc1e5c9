// A multipart form as the fields that operations read. The bytes go to the provider as they came. Pure.

import type { GatewayError } from '../errors.ts'
import type { JsonObject } from '../providers/dialect.ts'

/** Fields by name, an array where one was sent more than once; a file is `{ name, type, size }`. */
export async function readForm(bytes: Uint8Array, content_type: string): Promise<JsonObject | GatewayError> {
  let form: FormData
  try {
    form = await new Response(bytes as BodyInit, { headers: { 'content-type': content_type } }).formData()
  } catch {
    return { code: 'invalid_request', message: 'The request body is not a valid multipart form.' }
  }
  const fields: { [name: string]: unknown } = Object.create(null)
  for (const name of new Set(form.keys())) {
    const values = form.getAll(name).map((value) => (typeof value === 'string' ? value : describe(value)))
    fields[name] = values.length === 1 ? values[0] : values
  }
  return fields
}

const describe = ({ name, type, size }: File) => ({ name, type, size })
