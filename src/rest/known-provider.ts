// Refuses providers that no call can go to: a price of `opneai` would silently apply to nothing. Pure.

/** @param providers all that may be named. @returns null where `provider` is one of them. */
export function providerFault(provider: string, providers: Iterable<string>) {
  const known = [...providers]
  if (known.includes(provider)) return null
  return { field: 'provider', message: `must be one of ${known.sort().join(', ')}` }
}
