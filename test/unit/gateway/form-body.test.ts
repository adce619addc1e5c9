import { expect, test } from 'vitest'
import { accepted } from '../../../src/fault.ts'
import { readForm } from '../../../src/gateway/form-body.ts'

const TYPE = 'multipart/form-data; boundary=b'
const PART = '--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nwhisper-1\r\n'
const read = (body: string, type = TYPE) => readForm(new TextEncoder().encode(body), type)
const fieldsOf = (form: Awaited<ReturnType<typeof read>>) => ({ ...('fields' in form ? form.fields : form) })

test.each([
  ['as SDKs write it', `${PART}--b--\r\n`, TYPE],
  ['without a line break at its end', `${PART}--b--`, TYPE],
  ['with a quoted boundary', `${PART}--b--\r\n`, 'Multipart/Form-Data; Boundary="b"'],
  ['with other parameters', `${PART}--b--\r\n`, 'multipart/form-data; charset=utf-8; boundary=b'],
])('a form %s is read', async (_, body, type) => {
  expect(fieldsOf(await read(body, type))).toEqual({ model: 'whisper-1' })
})

test('the forms of fetch are read', async () => {
  const form = new FormData()
  form.set('model', 'whisper-1')
  form.set('file', new File(['abc'], 'a.wav', { type: 'audio/wav' }))
  const { headers, body } = new Request('http://x', { method: 'POST', body: form })
  const bytes = new Uint8Array(await new Response(body).arrayBuffer())
  expect(fieldsOf(await readForm(bytes, headers.get('content-type') ?? ''))).toEqual({
    model: 'whisper-1',
    file: { name: 'a.wav', type: 'audio/wav', size: 3 },
  })
})

test('fields that look like a refusal are fields', async () => {
  const form = PART.replace('"model"', '"code"').replace('whisper-1', 'not_found')
  const words = PART.replace('"model"', '"message"')
  expect(accepted(await read(`${form}${words}--b--\r\n`)).fields).toMatchObject({ code: 'not_found' })
})

test.each([
  'multipart/form-data; boundary=b; boundary=c',
  'multipart/form-data; boundary=c; BOUNDARY=b',
  'multipart/form-data; boundary=b; boundary*=c',
  'multipart/form-data; boundary=b, multipart/form-data; boundary=c',
  'multipart/form-data; x=";boundary=c"; boundary=b',
  'multipart/form-data',
  'multipart/form-data; boundary=',
  'multipart/mixed; boundary=b',
  'application/json',
  '',
])(
  'the content type %j is refused by its name: which parts there are must not depend on who reads it',
  async (type) => {
    expect(await read(`${PART}--b--\r\n`, type)).toMatchObject({ code: 'invalid_request', field: 'content-type' })
  },
)

test.each([
  ['before its first delimiter', `x\r\n${PART}--b--\r\n`],
  ['in an empty line before it', `\r\n${PART}--b--\r\n`],
  ['after its closing delimiter', `${PART}--b--\r\nx`],
  ['in another form after it', `${PART}--b--\r\n${PART}`],
  ['in two line breaks after it', `${PART}--b--\r\n\r\n`],
  ['and no closing delimiter', PART],
  ['and another boundary', `${PART.replace('--b', '--c')}--c--`],
  ['after a first close, and closed again', `${PART}--b--\r\n${PART}--b--\r\n`],
  ['after a delimiter that only some parsers see', `${PART.replace('whisper-1', 'whisper-1\n--b\r\n')}--b--`],
  ['after a close that only some parsers see', `${PART.replace('whisper-1', 'whisper-1\n--b--\n')}--b--`],
  ['after padding in a delimiter', `${PART.replace('--b', '--b ')}--b--`],
  ['and nothing else', ''],
])('a form with bytes %s is refused', async (_, body) => {
  expect(await read(body)).toMatchObject({ code: 'invalid_request', message: expect.stringMatching(/body/) })
})

test('files of any bytes are read as long as they hold no delimiter', async () => {
  const file = String.fromCharCode(...Array.from({ length: 128 }, (_, code) => code)).repeat(3)
  const head = '--0123xyz\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
  const body = `${head}${file}\r\n--0123\n-0123xy\r\n--0123xyz--\r\n`
  expect(await read(body, 'multipart/form-data; boundary=0123xyz')).toMatchObject({
    fields: { file: { size: 128 * 3 + 16 } },
  })
})
