// What makes an OpenAI-compatible provider: plain data that an operator can write. Shapes only, pure.

import { z } from 'zod'
import { baseUrl, forwardedHeader, headerName, providerName } from '../configured-fields.ts'

/** Operations that a provider may have besides chat completions, which every one has. */
export const OPERATIONS = ['completions', 'embeddings', 'responses', 'models'] as const

const path = z.string().regex(/^\w+(\.\w+)*$/, 'must be a path such as x_groq.usage')

/** Where a provider differs from OpenAI. Each default is OpenAI's own way. */
const quirksSchema = z.strictObject({
  /** It takes no `stream_options`: its streams report usage unasked, or never (then the hold is charged). */
  no_stream_options: z.boolean().default(false),
  /** The field that bounds the output, where the other one is ignored or bounds less: Tollgate makes sure that it is set. */
  output_field: z.enum(['max_tokens', 'max_completion_tokens']).nullable().default(null),
  /** Where answers and chunks may hold their usage, other than in `usage`: `x_groq.usage`. */
  usage_at: path.nullable().default(null),
  /** Where usage has its cached tokens, in place of `prompt_tokens_details.cached_tokens`. */
  cached_tokens_at: path.nullable().default(null),
  /** It takes Anthropic's `cache_control`, whose caches may be written for an hour at twice the price. */
  cache_ttl: z.boolean().default(false),
  /** It has OpenAI's service tiers, priced in percent. If not, a `service_tier` that may be dearer is unbounded. */
  service_tiers: z.boolean().default(false),
  /** Encrypted thoughts in `input` are no more tokens than bytes, as OpenAI's are. If not, each may be as long as the window. */
  encrypted_thoughts: z.boolean().default(false),
  /** Parameters of its own whose cost is known, each with the most tokens of input that it adds. All others are unbounded. */
  fields: z.record(z.string(), z.int().min(0).max(1_000_000)).default({}),
  /** Errors that it bills, by code or status: an error named by its code is charged its input, by its status its hold. */
  billed_errors: z.array(z.string().min(1)).default([]),
  /**
   * How its own clients read errors. `flat`: with the fields at the top, beside an `object: "error"`, so they stand in both
   * places. `status`: only where `code` is the status, and they retry any 5xx for up to an hour. So an error after which they
   * must not retry is a 424, and OpenAI's `code` is in `metadata.code`.
   */
  error_shape: z.enum(['openai', 'flat', 'status']).default('openai'),
  /** Parts of the names of models that search, route or call tools by themselves, for fees that nothing bounds. */
  fee_models: z.array(z.string().min(1)).default([]),
  /** Parts of the names of models whose output bound holds for text alone: reasoning and tool calls come on top. */
  text_bound_models: z.array(z.string().min(1)).default([]),
  /** Parts of the names of those of them that never reason: without tools, the bound holds for all of their output. */
  plain_models: z.array(z.string().min(1)).default([]),
  /** The most tokens that it writes around the messages by itself: a template, a system prompt of its own. */
  preamble_tokens: z.int().min(0).max(1_000_000).default(300),
})

export const providerSchema = z.strictObject({
  /** Name in paths, events, prices and models: `/acme/v1/chat/completions`, `acme/large-1`. */
  name: providerName,
  /** As an OpenAI client takes it: what comes before `/chat/completions`. */
  base_url: baseUrl,
  credential_header: z.enum(['authorization', 'api-key']).default('authorization'),
  operations: z.array(z.enum(OPERATIONS)).default(['models']),
  request_id_header: headerName.default('x-request-id'),
  /** Its SDKs also name the model in the path: such calls become those of its v1 API (see deployments.ts). */
  deployments: z.boolean().default(false),
  /** Headers of the client that it understands, beside the usual ones. */
  forwarded_headers: z.array(forwardedHeader).default([]),
  /** None of its models answers with more tokens: the output bound of calls that set none. */
  max_output_tokens: z.int().min(1).max(10_000_000).nullable().default(null),
  quirks: quirksSchema.prefault({}),
})

export type CompatibleProvider = z.output<typeof providerSchema>
export type Quirks = CompatibleProvider['quirks']

/** As it is written down: what is left out has its default. */
export type ProviderRow = Omit<z.input<typeof providerSchema>, 'base_url'> & { base_url?: string }
