// Operations of OpenAI that Tollgate knows and refuses, each with its reason. Pure.

import { UNREAD } from './answer.ts'
import type { Operation } from './dialect.ts'

export function refused(name: string, path: string, message: string): Operation {
  return {
    name,
    method: 'GET',
    path,
    readBound: () => ({ code: 'not_found', message }),
    meter: () => ({ push() {}, end: () => ({ ...UNREAD, may_hide_output: false }) }),
  }
}
