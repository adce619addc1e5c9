// Reads the small part of structured fields (RFC 9651) that the RateLimit fields use, by hand and strictly: a list of
// strings with parameters that are integers or strings.

export interface Item {
  value: string
  params: Record<string, number | string>
}

/** @throws {SyntaxError} at the first character that does not belong. */
function parseList(field: string): Item[] {
  const items: Item[] = []
  let at = 0
  const take = (pattern: RegExp): string => {
    const sticky = new RegExp(pattern, 'y')
    sticky.lastIndex = at
    const match = sticky.exec(field)
    if (!match) throw new SyntaxError(`${pattern} expected at ${at} of ${field}`)
    at = sticky.lastIndex
    return match[0]
  }
  const takeString = () =>
    take(/"(?:[ !#-[\]-~]|\\["\\])*"/)
      .slice(1, -1)
      .replaceAll(/\\(.)/g, '$1')
  for (;;) {
    const item: Item = { value: takeString(), params: {} }
    while (field[at] === ';') {
      take(/; */)
      const name = take(/[a-z*][a-z0-9_\-.*]*/)
      take(/=/)
      item.params[name] = field[at] === '"' ? takeString() : Number(take(/-?\d{1,15}(?!\d)/))
    }
    items.push(item)
    if (at === field.length) return items
    take(/[ \t]*,[ \t]*/)
  }
}

/** The one item of a field that names one policy. */
export function parseOne(field: string | null): Item {
  const [item, ...others] = parseList(field ?? '')
  if (!item || others.length > 0) throw new SyntaxError(`one item expected in ${field}`)
  return item
}
