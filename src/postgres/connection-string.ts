// What can be known of a database from its connection string. Pure.

/**
 * True where the password was not %-encoded: for a parser the host ends at a `/`, `?` or `#` in it, so that part of the password
 * would be looked up, and shown.
 */
export function endsWithinPassword({ pathname, search, hash }: URL): boolean {
  // The value of a parameter may have an `@`.
  return pathname.includes('@') || /^\?[^=]*@/.test(search) || hash !== ''
}

/** Whether it is Neon's, which itself answers SQL over HTTP. */
export function isNeonUrl(url: string): boolean {
  return /\.neon\.(tech|build)$/i.test(URL.parse(url)?.hostname ?? '')
}
