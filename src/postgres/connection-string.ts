// Connection strings whose password was not %-encoded. Pure.

/** At a `/`, `?` or `#` in the password, the host ends for a parser: part of the password would be looked up, and shown. */
export function endsWithinPassword({ pathname, search, hash }: URL): boolean {
  // The value of a parameter may have an `@`.
  return pathname.includes('@') || /^\?[^=]*@/.test(search) || hash !== ''
}
