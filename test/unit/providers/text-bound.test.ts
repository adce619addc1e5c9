import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { JsonObject } from '../../../src/providers/dialect.ts'
import { tokensOfBody, utf8Length } from '../../../src/providers/text-bound.ts'

const boundOf = (body: JsonObject) => tokensOfBody(body, new TextEncoder().encode(JSON.stringify(body)).length)

// The pieces of cl100k's and Llama 3's pre-tokenizer, which no token crosses, with spaces by sixteens: what a template
// writes is that many tokens at least.
const PIECES =
  /[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s{0,16}[\r\n]+|[^\S\r\n]{1,16}(?!\S)|\s+/gu
const leastTokens = (text: string) => text.match(PIECES)?.length ?? 0

/** `tojson(indent=4)`, as Llama 3 and 4 have their tools. */
const indented = (value: unknown) => JSON.stringify(value, null, 4)

/** Python's `json.dumps`, as most others have them. */
function spaced(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(spaced).join(', ')}]`
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  return `{${Object.entries(value)
    .map(([key, one]) => `${JSON.stringify(key)}: ${spaced(one)}`)
    .join(', ')}}`
}

describe('what a template writes of JSON has no more tokens than its bound', () => {
  // Letters and digits alone: where text is longer than its bytes, it is normalized, which is another test.
  const word = fc.stringMatching(/^[a-z0-9]{0,1}$/)
  const { value } = fc.letrec((tie) => ({
    value: fc.oneof(
      { depthSize: 'large' },
      word,
      fc.constantFrom(0, 1, true, null, '', {}, []),
      fc.array(tie('value'), { maxLength: 4 }),
      fc.dictionary(word, tie('value'), { maxKeys: 3 }),
    ),
  }))

  test.each([
    ['indented', indented],
    ['spaced', spaced],
  ])('%s', (_, write) => {
    fc.assert(
      fc.property(value, (one) => {
        // So many that the names around them do not count.
        const tool = { type: 'function', function: { name: 'f', parameters: { enum: Array(60).fill(one) } } }
        expect(boundOf({ tools: [tool] })).toBeGreaterThanOrEqual(leastTokens(write(tool)))
      }),
      { numRuns: 500 },
    )
  })

  test('deep inside, where indentation is longest', () => {
    let parameters: unknown = 1
    for (let depth = 0; depth < 400; depth++) parameters = [parameters]
    expect(boundOf({ tools: [{ function: { parameters } }] })).toBeGreaterThanOrEqual(leastTokens(indented(parameters)))
  })

  test('many numbers: indented, spaced, and as the type of OpenAI’s own prompt', () => {
    const values = Array.from({ length: 20_000 }, () => 1)
    const tool = { type: 'function', function: { name: 'f', parameters: { enum: values } } }
    const bound = boundOf({ tools: [tool] })
    for (const text of [indented(tool), spaced(tool), values.join(' | ')])
      expect(bound).toBeGreaterThanOrEqual(leastTokens(text))
  })

  test('arguments of a call, which are parsed and written anew', () => {
    const given = Array.from({ length: 20_000 }, () => 1)
    const call = { type: 'function', function: { name: 'f', arguments: JSON.stringify({ given }) } }
    const bound = boundOf({ messages: [{ role: 'assistant', tool_calls: [call] }] })
    expect(bound).toBeGreaterThanOrEqual(leastTokens(spaced({ given })))
  })

  describe.each([
    // As Python's `json.dumps` and JavaScript have them.
    ['1e15', '1000000000000000.0'],
    ['1e20', '100000000000000000000'],
    ['-25E13', '-250000000000000.0'],
    ['1e3', '1000.0'],
    ['1e-6', '0.000001'],
    ['1e-7', '1.0E-7'],
  ])('%s, which is written anew as %s, digit by digit', (given, written) => {
    const count = 20_000
    const least = count * (written.length + 1)
    const list = `[${Array(count).fill(given).join(',')}]`
    const boundOfText = (text: string) => tokensOfBody(JSON.parse(text), text.length)

    test.each([
      ['a schema', `{"tools":[{"function":{"parameters":{"enum":${list}}}}]}`],
      ['a call as Anthropic has it', `{"messages":[{"content":[{"type":"tool_use","input":{"a":${list}}}]}]}`],
      ['arguments', `{"messages":[{"tool_calls":[{"function":{"arguments":"{\\"a\\":${list}}"}}]}]}`],
      [
        'Converse’s schema of an answer',
        `{"outputConfig":{"textFormat":{"structure":{"jsonSchema":{"schema":"{\\"a\\":${list}}"}}}}}`,
      ],
      ['documents', `{"documents":[${Array(count).fill(`{"a":${given}}`).join(',')}]}`],
    ])('in %s', (_, text) => {
      expect(boundOfText(text)).toBeGreaterThanOrEqual(least)
    })
  })

  test('other numbers add nothing to what is around them', () => {
    const boundWith = (one: number) => boundOf({ tools: [{ function: { parameters: { enum: [one] } } }] })
    for (const one of [0, 7, 123, 0.5, -3.25]) {
      expect(boundWith(one) - JSON.stringify(one).length).toBe(boundWith(1) - 1)
    }
  })

  test('documents, each with a number of its own', () => {
    const documents = Array.from({ length: 9_000 }, () => ({ a: '' }))
    const text = documents.map((_, at) => `\nDocument: ${at}\na: \n`).join('\n')
    // Cohere's tokenizer takes each digit for itself.
    expect(boundOf({ documents })).toBeGreaterThanOrEqual(leastTokens(text) + 9_000 * 3)
  })

  describe('a schema with tags around each of its members, and digits one by one, as Qwen 3 Coder has it', () => {
    const toolOf = (parameters: object) => ({ type: 'function', function: { name: 'f', parameters } })
    // Pieces have up to three of them.
    const digitsOf = (text: string) =>
      text.match(/\d{2,}/g)?.reduce((sum, run) => sum + run.length - Math.ceil(run.length / 3), 0) ?? 0

    test('properties', () => {
      const names = Array.from({ length: 9_000 }, (_, at) => String(at + 1_000))
      const text = names.map((name) => `\n<parameter>\n<name>${name}</name>\n</parameter>`).join('')
      const properties = Object.fromEntries(names.map((name) => [name, 1]))
      const bound = boundOf({ tools: [toolOf({ type: 'object', properties })] })
      expect(bound).toBeGreaterThanOrEqual(leastTokens(text) + digitsOf(text))
    })

    test('other members, whose name stands on both sides', () => {
      const names = Array.from({ length: 1_000 }, (_, at) => `k${String(at).padStart(59, '0')}`)
      const text = names.map((name) => `\n<${name}>1</${name}>`).join('')
      const bound = boundOf({ tools: [toolOf(Object.fromEntries(names.map((name) => [name, 1])))] })
      expect(bound).toBeGreaterThanOrEqual(leastTokens(text) + digitsOf(text))
    })
  })
})

test('plain messages cost little more than their bytes', () => {
  const body = { model: 'm', messages: [{ role: 'user', content: 'hello' }] }
  expect(boundOf(body)).toBeLessThan(JSON.stringify(body).length + 15)
})

test('marks out of order, which normalizing sorts one by one, take no longer than other text', () => {
  const timeOf = (text: string) => {
    const started_at = performance.now()
    tokensOfBody({ content: text }, 0)
    return performance.now() - started_at
  }
  const others = timeOf('\uFDFA'.repeat(125_000))
  expect(timeOf('\u0315\u0300\u0327\u0316\u0334'.repeat(25_000))).toBeLessThan(20 * others)
})

test('a long text has all of its bytes, and all that normalizing adds, wherever it is cut', () => {
  const bytesOf = (text: string) => new TextEncoder().encode(text).length
  for (const start of ['', 'x']) {
    // Two units each; normalizing makes three letters of the sign.
    const [foxes, signs] = ['🦊', '\u{1F240}'].map((one) => start + one.repeat(100_000)) as [string, string]
    expect(utf8Length(foxes)).toBe(bytesOf(foxes))
    expect(tokensOfBody({ content: foxes }, 0)).toBeLessThan(10)
    expect(tokensOfBody({ content: signs }, bytesOf(signs))).toBeGreaterThanOrEqual(bytesOf(signs.normalize('NFKC')))
  }
})
