// What `npm start` says when everything runs. Pure.

import { DEMO_LIMITS } from './demo-user.ts'
import type { LocalProvider } from './dev-vars.ts'

export interface Greeted {
  url: string
  demoKey: string
  fakeProviderUrl: string | null
  /** Where the data is. */
  postgres: string
  providers: LocalProvider[]
  /** Where the admin token is. */
  tokenFile: string
  logFile: string
}

export function greeting({ url, demoKey, fakeProviderUrl, postgres, providers, tokenFile, logFile }: Greeted): string {
  const body = '{"model":"gpt-4o-mini","messages":[{"role":"user","content":"Hello"}]}'
  const named = (kind: LocalProvider['is']) => providers.filter(({ is }) => is === kind).map(({ name }) => name)
  const fake = fakeProviderUrl
    ? [`${named('fake').join(', ')} fake (${fakeProviderUrl}; real keys go into .dev.vars)`]
    : []
  const real = named('real').length > 0 ? [`${named('real').join(', ')} real`] : []
  return `Tollgate   ${url}
Postgres   ${postgres}
Providers  ${[...real, ...fake].join('; ')}
Admin      token in ${tokenFile}
Demo key   ${demoKey} (${DEMO_LIMITS})
Log        ${logFile}

curl ${url}/openai/v1/chat/completions \\
  -H 'Authorization: Bearer ${demoKey}' -H 'Content-Type: application/json' \\
  -d '${body}'
`
}
