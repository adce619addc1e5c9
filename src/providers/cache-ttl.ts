// How long the caches that a body asks for live: Anthropic's models bill writes for an hour at a higher rate, and no price
// list says what OpenAI's bill for more than half an hour. Pure.

import { isObject } from './answer.ts'
import type { Bound, JsonObject } from './dialect.ts'
import { visit } from './text-bound.ts'

/** The dearest write that the body asks for: its cache marks are the members called `name`, at any depth. */
export function dearestCacheWrite(body: JsonObject, name: 'cache_control' | 'cachePoint'): Bound['cache_write'] {
  let dearest: Bound['cache_write'] = 'none'
  visit(body, (value, key) => {
    if (key !== name || value === null || dearest === '1h') return
    dearest = isObject(value) && (value.ttl ?? '5m') === '5m' ? '5m' : '1h'
  })
  return dearest
}

/** The kind of the cache writes that an answer does not split. */
export function askedCacheWrite(body: JsonObject, name: 'cache_control' | 'cachePoint'): '5m' | '1h' {
  return dearestCacheWrite(body, name) === '1h' ? '1h' : '5m'
}

/** The field that asks OpenAI for a cache whose writes have no known price; null where there is none. */
export function unpricedCache(body: JsonObject): string | null {
  let field: string | null = null
  visit(body, (value, key) => {
    const isLifetime = key === 'prompt_cache_options' || key === 'prompt_cache_breakpoint'
    if (isLifetime && isObject(value) && (value.ttl ?? '30m') !== '30m') field = `${key}.ttl`
  })
  return field
}
