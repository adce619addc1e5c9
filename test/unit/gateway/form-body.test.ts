import { describe, expect, test } from 'vitest'
import { encodingFault } from '../../../src/body-type.ts'
import { accepted } from '../../../src/fault.ts'
import { readForm } from '../../../src/gateway/form-body.ts'

const TYPE = 'multipart/form-data; boundary=b'
const PART = '--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nwhisper-1\r\n'
const read = (body: string, type = TYPE) => readForm(new TextEncoder().encode(body), type)
const part = (head: string) => `--b\r\n${head}\r\n\r\nwhisper-1\r\n--b--\r\n`
const fieldsOf = (form: ReturnType<typeof read>) => ({ ...('fields' in form ? form.fields : form) })

test.each([
  ['as SDKs write it', `${PART}--b--\r\n`, TYPE],
  ['after an empty line', `\r\n${PART}--b--\r\n`, TYPE],
  ['without a line break at its end', `${PART}--b--`, TYPE],
  ['before an empty line', `${PART}--b--\r\n\r\n`, TYPE],
  ['with a quoted boundary', `${PART}--b--\r\n`, 'Multipart/Form-Data; Boundary="b"'],
  ['with other parameters', `${PART}--b--\r\n`, 'multipart/form-data; charset=utf-8; boundary=b'],
])('a form %s is read', (_, body, type) => {
  expect(fieldsOf(read(body, type))).toEqual({ model: 'whisper-1' })
})

test('a form that says ISO-8859-1 is read where all its texts are ASCII, which every parser then takes for the same', () => {
  const type = 'multipart/form-data; charset=ISO-8859-1; boundary=b'
  const text = (name: string, value: string) =>
    `--b\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`
  const file = '--b\r\nContent-Disposition: form-data; name="file"; filename="é.wav"\r\n\r\né\r\n'
  const plain = `${PART}${file}${text('prompt', '')}--b--\r\n`
  expect(fieldsOf(read(plain, type))).toMatchObject({ model: 'whisper-1', prompt: '' })
  for (const part of [text('prompt', 'é'), text('é', 'x'), text('a', 'x') + text('a', 'é')]) {
    expect(read(`${PART}${part}--b--\r\n`, type)).toMatchObject({ field: 'content-type' })
    expect(read(`${PART}${part}--b--\r\n`)).toHaveProperty('fields')
  }
})

test.each(['utf-7', 'utf-16', 'windows-1252', '"iso-8859-1', 'iso-8859-15', ' iso-8859-1'])(
  'a form may not say that it is in %s',
  (charset) => {
    const fault = (type: string) => encodingFault(new Headers({ 'content-type': type }))
    expect(fault(`${TYPE}; charset=ISO-8859-1`)).toBeNull()
    expect(fault(`${TYPE}; charset=${charset}`)).toMatchObject({ field: 'content-type' })
    expect(fault(`${TYPE}; charset=iso-8859-1; charset=${charset}`)).toMatchObject({ field: 'content-type' })
  },
)

test('the forms of fetch are read', async () => {
  const form = new FormData()
  form.set('model', 'whisper-1')
  form.set('file', new File(['abc'], 'a.wav', { type: 'audio/wav' }))
  const { headers, body } = new Request('http://x', { method: 'POST', body: form })
  const bytes = new Uint8Array(await new Response(body).arrayBuffer())
  expect(fieldsOf(readForm(bytes, headers.get('content-type') ?? ''))).toEqual({
    model: 'whisper-1',
    file: { name: 'a.wav', type: 'audio/wav', size: 3 },
  })
})

test('a field that was sent twice is a list of both', () => {
  expect(fieldsOf(read(`${PART}${PART}--b--\r\n`))).toEqual({ model: ['whisper-1', 'whisper-1'] })
})

test('fields that look like a refusal are fields', () => {
  const form = PART.replace('"model"', '"code"').replace('whisper-1', 'not_found')
  const words = PART.replace('"model"', '"message"')
  expect(accepted(read(`${form}${words}--b--\r\n`)).fields).toMatchObject({ code: 'not_found' })
})

test.each([
  'multipart/form-data; boundary=b; boundary=c',
  'multipart/form-data; boundary=c; BOUNDARY=b',
  'multipart/form-data; boundary=b; boundary*=c',
  'multipart/form-data; boundary=b, multipart/form-data; boundary=c',
  'multipart/form-data; x=";boundary=c"; boundary=b',
  'multipart/form-data; x="boundary=c"; boundary=b',
  'multipart/form-data; xboundary=c; boundary=b',
  'multipart/form-data',
  'multipart/form-data; boundary=',
  'multipart/mixed; boundary=b',
  'application/json',
  '',
])('the content type %j is refused by its name: which parts there are must not depend on who reads it', (type) => {
  expect(read(`${PART}--b--\r\n`, type)).toMatchObject({ code: 'invalid_request', field: 'content-type' })
})

test.each([
  ['before its first delimiter', `x\r\n${PART}--b--\r\n`],
  ['in two empty lines before it', `\r\n\r\n${PART}--b--\r\n`],
  ['in a line that is not empty before it', `\rx${PART}--b--\r\n`],
  ['after its closing delimiter', `${PART}--b--\r\nx`],
  ['in another form after it', `${PART}--b--\r\n${PART}`],
  ['in two empty lines after it', `${PART}--b--\r\n\r\n\r\n`],
  ['and no closing delimiter', PART],
  ['and another boundary', `${PART.replace('--b', '--c')}--c--`],
  ['after a first close, and closed again', `${PART}--b--\r\n${PART}--b--\r\n`],
  ['after a delimiter that only some parsers see', `${PART.replace('whisper-1', 'whisper-1\n--b\r\n')}--b--`],
  ['after a close that only some parsers see', `${PART.replace('whisper-1', 'whisper-1\n--b--\n')}--b--`],
  [
    'after a delimiter whose line begins after a return alone',
    `${PART.replace('whisper-1', 'whisper-1\r--b\r\n')}--b--`,
  ],
  ['after a delimiter behind two returns', `${PART.replace('whisper-1', 'whisper-1\r\r--b\r\n')}--b--`],
  ['and a part without an end of its own', `${PART.replace('whisper-1\r\n', '')}${PART}--b--`],
  ['and a last part without an end of its own', `${PART.replace('whisper-1\r\n', '')}--b--`],
  ['after padding in a delimiter', `${PART.replace('--b', '--b ')}--b--`],
  ['of a close alone', '--b--\r\n'],
  ['and nothing else', ''],
])('a form with bytes %s is refused', (_, body) => {
  expect(read(body)).toMatchObject({
    code: 'invalid_request',
    message: expect.stringContaining('begin with its first boundary'),
  })
})

describe('a part is what every parser takes it for', () => {
  const file = 'Content-Disposition: form-data; name="f"; filename="a.png"'

  test.each([
    ['as browsers, Node, Python and Go write files', `${file}\r\nContent-Type: image/png`],
    [
      'as .NET does',
      "Content-Type: image/png\r\nContent-Disposition: form-data; name=f; filename=a.png; filename*=utf-8''a.png",
    ],
    ['as OkHttp does', `${file}\r\nContent-Type: image/png\r\nContent-Transfer-Encoding: binary\r\nContent-Length: 9`],
    ['in lower case', 'content-disposition: form-data;name="f";filename="a.png"'],
    ['with a name that is not ASCII', 'Content-Disposition: form-data; name="f"; filename="é%22 x.png"'],
    ['as Jersey does, which tells more of it', `${file}; size=9; modification-date="Sat, 28 Nov 2026 00:00:00 GMT"`],
    ['without quotes around the name of a file', 'Content-Disposition: form-data; name="f"; filename=a.png'],
    ['with more of it before its name', 'Content-Disposition: form-data; name="f"; size=9; filename="a.png"'],
    ['with a path of Windows', String.raw`Content-Disposition: form-data; name="f"; filename="C:\a.png"`],
  ])('%s', (_, head) => {
    expect(read(part(head))).toMatchObject({ fields: { f: { size: 9 } } })
  })

  test.each([
    ['.NET', 'Content-Type: text/plain; charset=utf-8\r\nContent-Disposition: form-data; name=model'],
    ["Apache's client", 'Content-Disposition: form-data; name="model"\r\nContent-Type: text/plain; charset=ISO-8859-1'],
  ])('text as %s writes it', (_, head) => {
    expect(read(part(head))).toMatchObject({ fields: { model: 'whisper-1' } })
  })

  test.each([
    ['an extended name', `Content-Disposition: form-data; name="user"; name*=utf-8''n`],
    ['a name in pieces', 'Content-Disposition: form-data; name="user"; name*0="n"'],
    ['two names', 'Content-Disposition: form-data; name="user"; name="n"'],
    ['two heads', 'Content-Disposition: form-data; name="user"\r\nContent-Disposition: form-data; name="n"'],
    ['an extended filename alone', `Content-Disposition: form-data; name="image"; filename*=utf-8''a.png`],
    ['an empty filename', 'Content-Disposition: form-data; name="image"; filename=""'],
    ['an escaped quote', String.raw`Content-Disposition: form-data; name="user\"; name=\"n"`],
    ['an escaped quote that hides a filename', String.raw`Content-Disposition: form-data; name="user\"; filename="n"`],
    ['more than parameters', 'Content-Disposition: form-data; name="user" junk'],
    ['a form inside', 'Content-Disposition: form-data; name="n"\r\nContent-Type: multipart/mixed; boundary=c'],
    ['a line that goes on', 'Content-Disposition: form-data; name="user"\r\n ; name="n"'],
    ['a space before the colon', 'Content-Disposition : form-data; name="user"'],
    ['a line feed alone', 'Content-Disposition: form-data; name="user"\nContent-Disposition: form-data; name="n"'],
    ['an encoding', 'Content-Disposition: form-data; name="n"\r\nContent-Transfer-Encoding: base64'],
    [
      'text that Busboy takes for a file',
      'Content-Disposition: form-data; name="n"\r\nContent-Type: application/octet-stream',
    ],
    ['a semicolon at its end, for which Busboy drops it', `${file};`],
    ['a space after a bare name, which is part of it to Multiparty', 'Content-Disposition: form-data; name=n ; size=9'],
    ['a no-break space before its kind', 'Content-Disposition:\u00a0form-data; name="n"'],
    ['a no-break space before its name', 'Content-Disposition: form-data;\u00a0name="n"'],
    ['a byte order mark', '\ufeffContent-Disposition: form-data; name="n"'],
    ['another disposition', 'Content-Disposition: attachment; name="n"'],
    ['no name', 'Content-Disposition: form-data'],
    ['no head', 'X: y'],
    ['too long a head', `Content-Disposition: form-data; name="n"\r\nX: ${'y'.repeat(9_000)}`],
    ['a return in its head', 'Content-Disposition: form-data; name="n"\r\n\rX: y'],
  ])('%s is refused', (_, head) => {
    expect(read(part(head))).toMatchObject({
      code: 'invalid_request',
      message: expect.stringMatching(/^Part 1 of the request body must have one Content-Disposition/),
    })
  })
})

test('a form of delimiters alone, or of many parts, is refused after a look at its first bytes', () => {
  const parameters = part(`Content-Disposition: form-data${'; a=b'.repeat(1_000_000)}`)
  expect(read(parameters)).toMatchObject({ code: 'invalid_request' })
  expect(read('--b\r\n'.repeat(200_000))).toMatchObject({ code: 'invalid_request' })
  const colon = 'multipart/form-data; boundary=x:y'
  expect(read('--x:y\r\n'.repeat(200_000), colon)).toMatchObject({ code: 'invalid_request' })
  const form = `${PART.repeat(1_001)}--b--`
  expect(read(form)).toMatchObject({ message: 'The request body must have at most 1000 parts.' })
})

test('long heads of many parts, which take long to read, are refused', () => {
  const longPart = (at: number) =>
    `--b\r\nContent-Disposition: form-data; name="n${at}"\r\nX: ${'y'.repeat(8_000)}\r\n\r\nv\r\n`
  const form = (parts: number) => `${Array.from({ length: parts }, (_, at) => longPart(at)).join('')}--b--`
  expect(read(form(16))).toMatchObject({ fields: { n15: 'v' } })
  expect(read(form(100))).toMatchObject({
    message: 'The heads of all parts together must have at most 262144 characters.',
  })
})

test('files of any bytes are read as long as they hold no delimiter', () => {
  const file = String.fromCharCode(...Array.from({ length: 128 }, (_, code) => code)).repeat(3)
  const head = '--0123xyz\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
  const body = `${head}${file}\r\n--0123\n-0123xy\r\n--0123xyz--\r\n`
  expect(read(body, 'multipart/form-data; boundary=0123xyz')).toMatchObject({
    fields: { file: { size: 128 * 3 + 16 } },
  })
})
