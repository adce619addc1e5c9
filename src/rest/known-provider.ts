// Whether a provider is one of those that calls can go to: a price of `opneai` would apply to nothing, in silence. Pure.

/** `providers` are all that may be named. Null where `provider` is one of them. */
export function providerFault(provider: string, providers: Iterable<string>) {
  const known = [...providers]
  if (known.includes(provider)) return null
  return { field: 'provider', message: `must be one of ${known.sort().join(', ')}` }
}
