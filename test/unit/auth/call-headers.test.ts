import { describe, expect, test } from 'vitest'
import { readCallHeaders } from '../../../src/gateway/call-headers.ts'

const read = (...headers: [string, string][]) => readCallHeaders(new Headers(headers))
const metadata = (text: string) => read(['x-tollgate-metadata', text])
const METADATA_FAULT = { code: 'invalid_header', field: 'x-tollgate-metadata' }

describe('readCallHeaders', () => {
  test('reads ids and metadata, and leaves all other headers alone', () => {
    expect(
      read(
        ['X-Tollgate-Job-Id', 'job 1'],
        ['x-tollgate-batch-id', 'b'.repeat(128)],
        ['x-tollgate-session-id', '~!-+*'],
        ['x-tollgate-metadata', '{"team":"caf\\u00e9","try":2,"dry":false,"note":null}'],
        ['x-tollgate-key', 'tg_'],
        ['x-other', 'é'],
      ),
    ).toEqual({
      job_id: 'job 1',
      batch_id: 'b'.repeat(128),
      session_id: '~!-+*',
      metadata: { team: 'café', try: 2, dry: false, note: null },
    })
    expect(read()).toEqual({ job_id: null, batch_id: null, session_id: null, metadata: null })
  })

  test.each(['x-tollgate-job-id', 'x-tollgate-batch-id', 'x-tollgate-session-id'])(
    '%s is bounded, printable and sent once',
    (name) => {
      for (const value of ['', 'b'.repeat(129), 'a\tb', 'é', 'a,b'])
        expect([value, read([name, value])]).toMatchObject([value, { code: 'invalid_header', field: name }])
      expect(read([name, 'a'], [name, 'a'])).toMatchObject({ code: 'invalid_header', field: name })
    },
  )

  test('an unknown x-tollgate header is named', () => {
    expect(read(['x-tollgate-jobid', '1'])).toMatchObject({ code: 'invalid_header', field: 'x-tollgate-jobid' })
  })

  test.each([
    ['not JSON', '{'],
    ['empty', ''],
    ['no object', '[1]'],
    ['null', 'null'],
    ['nested', '{"a":{"b":1}}'],
    ['an array inside', '{"a":[1]}'],
    ['NUL', '{"a":"\\u0000"}'],
    ['NUL in a key', '{"a\\u0000":1}'],
    ['a lone surrogate', '{"a":"\\ud83d"}'],
    ['a lone surrogate in a key', '{"\\ud83d":1}'],
    ['an infinite number', '{"a":1e999}'],
    ['an integer that JSON cannot hold exactly', '{"a":12345678901234567890}'],
    ['a name twice', '{"team":"a","team":"b"}'],
    ['a name twice, once escaped', '{"team":"a","t\\u0065am":"b"}'],
    ['__proto__', '{"__proto__":"x"}'],
    ['constructor', '{"constructor":1}'],
    ['prototype', '{"prototype":1}'],
    ['an empty key', '{"":1}'],
    ['a long key', `{"${'k'.repeat(65)}":1}`],
    ['raw bytes that are not ASCII', '{"a":"é"}'],
    ['17 keys', JSON.stringify(Object.fromEntries(Array.from({ length: 17 }, (_, i) => [`k${i}`, i])))],
    ['2,049 bytes once it is stored', `{"a":"${'x'.repeat(2_025)}","b":1e15}`],
    ['2,049 bytes', JSON.stringify({ a: 'x'.repeat(2_049 - 8) })],
  ])('metadata with %s is refused', (_, text) => {
    expect(metadata(text)).toMatchObject(METADATA_FAULT)
  })

  test('metadata sent twice is refused', () => {
    expect(read(['x-tollgate-metadata', '{"a":1}'], ['x-tollgate-metadata', '{"b":1}'])).toMatchObject(METADATA_FAULT)
  })

  test('metadata of exactly 2 KiB and 16 keys is accepted', () => {
    expect(metadata(JSON.stringify({ a: 'x'.repeat(2_048 - 8) }))).toHaveProperty('metadata.a')
    expect(
      metadata(JSON.stringify(Object.fromEntries(Array.from({ length: 16 }, (_, i) => [`k${i}`, i])))),
    ).toHaveProperty('metadata.k15', 15)
  })
})
