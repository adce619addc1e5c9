// Names that no configured provider may have. Pure.

/** The first segments of Tollgate's own routes, now or soon: a provider of that name would shadow them. */
export const RESERVED_NAMES: ReadonlySet<string> = new Set(
  'admin anthropic bedrock docs gemini google google-places health keys openai openapi places prices usage v1'.split(
    ' ',
  ),
)
