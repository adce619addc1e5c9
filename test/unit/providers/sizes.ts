// How large a body is as it is sent, and the tokens that its text may be.

import type { JsonObject } from '../../../src/providers/dialect.ts'
import { tokensOfBody } from '../../../src/providers/text-bound.ts'

export const size = (body: JsonObject) => new TextEncoder().encode(JSON.stringify(body)).length
export const tokensOf = (body: JsonObject) => tokensOfBody(body, size(body))
