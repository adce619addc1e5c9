// Connection strings whose password was not %-encoded. Pure.

/** For a parser the host ends at a `/`, `?` or `#` in the password: part of the password would be looked up, and shown. */
export function endsWithinPassword({ pathname, search, hash }: URL): boolean {
  // The value of a parameter may have an `@`.
  return pathname.includes('@') || /^\?[^=]*@/.test(search) || hash !== ''
}
