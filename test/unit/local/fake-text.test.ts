import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { lastUserText, say } from '../../../src/local/fake-text.ts'

const tools = ['weather', 'other'].map((name) => ({ name, schema: {} }))

describe('a schema', () => {
  const node = z.object({
    name: z.string(),
    get next() {
      return node.nullable()
    },
    get children() {
      return z.array(node)
    },
  })
  test.each([
    ['of scalars', z.object({ text: z.string(), yes: z.boolean(), one: z.literal('one'), of: z.enum(['a', 'b']) })],
    ['of bounded numbers', z.object({ age: z.int().min(18), share: z.number().min(0).max(1) })],
    ['of formats', z.object({ at: z.iso.datetime(), on: z.iso.date(), mail: z.email(), url: z.url(), id: z.uuid() })],
    ['of lists', z.object({ any: z.array(z.unknown()), two: z.array(z.object({ days: z.int() })).min(2) })],
    ['of choices', z.object({ or: z.union([z.int(), z.string()]), maybe: z.string().nullish(), any: z.unknown() })],
    ['that is within itself', node],
    ['that is no object', z.array(z.string()).min(1)],
  ])('%s is answered with its JSON', (_, schema) => {
    const { pieces, tool } = say({ schema: z.toJSONSchema(schema, { reused: 'ref' }), bound: null })
    expect(tool).toBeNull()
    expect(() => schema.parse(JSON.parse(pieces.join('')))).not.toThrow()
  })

  test.each([
    [{ type: ['integer', 'null'] }, '3'],
    [{ anyOf: [{ const: 'first' }, { type: 'null' }] }, '"first"'],
    [{ $ref: '#/$defs/trip', $defs: { trip: { properties: { city: { type: 'STRING' } } } } }, '{"city":"Paris"}'],
    [{ $ref: '#' }, 'null'],
    [{ type: 'array', items: { type: 'integer' } }, '[3]'],
    [{ type: 'constructor', enum: [] }, 'null'],
    [{ type: 'array', minItems: -1.5 }, '[]'],
  ])('%j is answered with %s', (schema, text) => {
    expect(say({ schema, bound: null }).pieces.join('')).toBe(text)
  })

  test('is cut at the bound, as any text is', () => {
    const schema = { properties: { city: { type: 'string' } } }
    expect(say({ schema, bound: 2 })).toEqual({ pieces: ['{"ci', 'ty":'], truncated: true, tool: null })
  })
})

test.each([
  ['auto', 'hello', null],
  ['auto', 'use the tool', 'weather'],
  ['none', 'use the tool', null],
  ['required', 'hello', 'weather'],
  [['other', 'weather'], 'hello', 'weather'],
  [['other'], 'use the tool', 'other'],
] as const)('a choice of %j calls, asked "%s", %s', (choice, userText, tool) => {
  expect(say({ tools, choice: typeof choice === 'string' ? choice : [...choice], userText, bound: null }).tool).toBe(
    tool,
  )
})

test('a tool is not called again once its result is there', () => {
  const asked = { role: 'user', content: 'use the tool' }
  expect(lastUserText([asked])).toBe('use the tool')
  const called = { role: 'assistant', tool_calls: [{}] }
  expect(lastUserText([asked, called, { role: 'tool', content: '20 degrees' }])).toBe('')
  expect(lastUserText([asked, called, { role: 'user', content: [{ type: 'tool_result' }] }])).toBe('')
  expect(lastUserText([asked, { type: 'function_call' }, { type: 'function_call_output' }])).toBe('')
})

test('a tool that is called comes before a schema that the text would have', () => {
  expect(say({ tools, choice: 'required', schema: { type: 'array' }, bound: null })).toMatchObject({ pieces: ['{}'] })
})
