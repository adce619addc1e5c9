// What a connection string says that was meant to say something else. Pure.

/** At a `/`, `?` or `#` in the password: what came before it would be looked up as the host, and shown. */
export function endsWithinPassword({ pathname, search, hash }: URL): boolean {
  // The value of a parameter may have an `@`.
  return pathname.includes('@') || /^\?[^=]*@/.test(search) || hash !== ''
}
