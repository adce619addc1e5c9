// Postgres stores neither NUL nor lone surrogates, and some of what is stored comes from others (a model's name, a claim).

export const isStorableText = (text: string) => text.isWellFormed() && !text.includes('\0')

/** The same text with U+FFFD for what Postgres would refuse. */
export function storableText(text: string): string {
  return text.toWellFormed().replaceAll('\0', '\uFFFD')
}
