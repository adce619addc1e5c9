import { parseEnv } from 'node:util'
import { expect, test } from 'vitest'
import { type Vars, withoutEffect } from '../../../src/local/dev-vars.ts'

const warnings = (text: string) => withoutEffect(text, parseEnv(text) as Vars)

test.each([
  'OPENAI_API_KEY=sk-x\n# OPENAI_KEY\n\nexport GROQ_API_KEY = gsk\r\nBEDROCK_MODELS=\'{\n  "a": "b"\n}\'\n',
  'PROVIDERS=\'[{"name":"acme","base_url":"https://acme.example/v1","api_key_binding":"OUR_KEY"}]\'\nOUR_KEY=x\nACME_BASE_URL=https://x',
  // The worker says what is wrong with them.
  'PROVIDERS=[{]\nACME_API_KEY=x',
  'PROVIDERS=[{"name":"acme","base_url":"https://acme.example/v1"}]\nACME_API_KEY=x\nAZURE_API_KEY=y',
])('no warning of %j', (text) => {
  expect(warnings(text)).toEqual([])
})

test.each([
  ['OPENAI_KEY=sk-secret', ['OPENAI_KEY is unknown to Tollgate and has no effect.']],
  ['ACME_API_KEY=sk-secret', ['ACME_API_KEY is unknown to Tollgate and has no effect.']],
  ['OPENAI_API_KEY sk-secret', ['the line of OPENAI_API_KEY is not OPENAI_API_KEY=value and has no effect.']],
  [
    'DATABASE_URL: postgresql://u:secret@h/db?sslmode=require',
    ['the line of DATABASE_URL is not DATABASE_URL=value and has no effect.'],
  ],
  ['ADMIN_TOKEN secret==', ['the line of ADMIN_TOKEN is not ADMIN_TOKEN=value and has no effect.']],
])('%j is warned of, without its value', (text, expected) => {
  expect(warnings(text)).toEqual(expected.map((warning) => `.dev.vars: ${warning}`))
})
