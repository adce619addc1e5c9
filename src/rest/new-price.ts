// Prices as the API takes them: US dollars as decimals, exact to the nano-dollar. Pure.

import { z } from '@hono/zod-openapi'
import { modelKey } from '../pricing/model-id.ts'
import { nanoUsdOfDecimal } from '../pricing/money.ts'
import type { GivenPrice, GivenRates } from '../pricing/override.ts'
import type { Rates } from '../pricing/price.ts'
import { PROVIDERS } from '../pricing/provider-traits.ts'
import { instant, text, withoutNulls } from './fields.ts'

/** The most that any amount of a price may be. Keeps what a call can cost exact. */
const MOST_USD = 1_000
const MOST_PERCENT = 1_000
const MOST_TIERS = 16
const MOST_THRESHOLDS = 8
const MOST_WINDOW = 100_000_000

/** `"0.15"` or 0.15, as nano-dollars. */
const usd = z
  .union([z.string(), z.number()], 'must be a decimal amount of US dollars, such as "0.15"')
  .transform((amount, context) => {
    const nano_usd = nanoUsdOfDecimal(amount, MOST_USD)
    if (typeof nano_usd === 'number') return nano_usd
    context.addIssue({ code: 'custom', message: nano_usd.fault })
    return z.NEVER
  })
  .openapi({ description: `US dollars, 0 to ${MOST_USD}, at most nine decimals.`, example: '0.15' })

const given = z.strictObject({
  input: usd,
  cached_input: usd.nullish(),
  cache_write_5m: usd.nullish(),
  cache_write_1h: usd.nullish(),
  output: usd,
  audio_input: usd.nullish(),
  audio_output: usd.nullish(),
  image_input: usd.nullish(),
  image_output: usd.nullish(),
} satisfies Record<keyof Rates, z.ZodType>)
export const RATE_KINDS = Object.keys(given.shape)

const whole = (least: number, most: number) => {
  const fault = `must be a whole number from ${least} to ${most}`
  return z.int(fault).min(least, fault).max(most, fault)
}

const provider = z
  .string()
  .regex(/^[a-z0-9][a-z0-9_-]{0,63}$/, 'must be the name of a provider as in paths')
  .openapi({ example: 'openai' })

const model = z
  .string()
  .regex(/^[!-~]{1,500}$/, 'must be the id of a model: 1 to 500 ASCII characters without spaces')
  .openapi({ example: 'gpt-4o-mini' })

const thresholds = z
  .array(z.strictObject({ above_input_tokens: whole(1, MOST_WINDOW), usd_per_mtok: given }))
  .max(MOST_THRESHOLDS, `must have at most ${MOST_THRESHOLDS} thresholds`)
  .refine(
    (list) => new Set(list.map(({ above_input_tokens }) => above_input_tokens)).size === list.length,
    'must name each above_input_tokens once',
  )

const tierPercent = z
  .record(z.string().regex(/^[a-z][a-z0-9_]{0,31}$/), whole(1, MOST_PERCENT).nullable())
  .transform(withoutNulls)
  .refine((tiers) => Object.keys(tiers).length <= MOST_TIERS, `must have at most ${MOST_TIERS} tiers`)

const wirePrice = z.strictObject({
  provider,
  model,
  effective_from: instant.nullish().openapi({
    type: ['string', 'null'],
    format: 'date-time',
    description: 'Null: now, as for a new price without one.',
  }),
  usd_per_mtok: given.nullish().openapi({
    description:
      'Per million tokens. Kinds that are left out cost what is usual at the provider; images cost as much as text, and audio has no price. Without any, tokens cost nothing.',
  }),
  usd_per_request: usd.nullish(),
  usd_per_unit: usd.nullish().openapi({ description: 'Of what is billed by the second, the character or the image.' }),
  usd_per_thousand_web_searches: usd.nullish(),
  tier_percent: tierPercent.nullish().openapi({ description: 'Of service tiers, in percent: `{"batch": 50}`.' }),
  long_context: thresholds
    .nullish()
    .openapi({ description: 'Rates of a whole request with more input tokens than this.' }),
  context_window: whole(1, MOST_WINDOW).nullish().openapi({ description: 'Default: what the catalogue says.' }),
  note: text(500).nullish(),
})

/** A whole price; null is as absent. */
export const newPriceSchema = wirePrice
  .refine((price) => [price.usd_per_mtok, price.usd_per_request, price.usd_per_unit].some((one) => one != null), {
    path: ['usd_per_mtok'],
    message: 'is required, unless there is a usd_per_request or a usd_per_unit',
  })
  // Two spellings of one model would be two prices, and calls would get either of them.
  .refine(({ provider, model }) => modelKey(provider, model) === model.toLowerCase(), {
    path: ['model'],
    message: 'must be the id at the end of the ARN: prices are found by that',
  })
  // Image rates would apply to nothing: images would cost as much as text.
  .refine((price) => tellsImages(price) || !ratesIn(price).some(hasImages), {
    path: ['usd_per_mtok'],
    message: 'must not have image_input or image_output: the usage of this model does not tell images from text',
  })
  .transform((wire) => ({
    provider: wire.provider,
    model: wire.model,
    effective_from: wire.effective_from ?? null,
    note: wire.note ?? null,
    price: toGiven(wire),
  }))

/** A change as the document has it. */
export const documentedPriceChange = wirePrice
  .omit({ provider: true, model: true })
  .extend({ usd_per_mtok: given.partial().nullish() })
  .openapi({ description: 'Given fields change, null removes one; usd_per_mtok and tier_percent are merged.' })

/** A change as it is read: its fields stay as they were sent, and are checked in the whole price that results. */
export const priceChangeSchema = z
  .strictObject({
    effective_from: z.unknown(),
    usd_per_mtok: z.unknown(),
    usd_per_request: z.unknown(),
    usd_per_unit: z.unknown(),
    usd_per_thousand_web_searches: z.unknown(),
    tier_percent: z.unknown(),
    long_context: z.unknown(),
    context_window: z.unknown(),
    note: z.unknown(),
  })
  .partial()

type WirePrice = z.output<typeof wirePrice>

const tellsImages = ({ provider, model }: WirePrice) =>
  PROVIDERS.get(provider)?.images_apart?.test(modelKey(provider, model)) === true
const ratesIn = ({ usd_per_mtok, long_context }: WirePrice) => [
  ...(usd_per_mtok ? [usd_per_mtok] : []),
  ...(long_context ?? []).map((beyond) => beyond.usd_per_mtok),
]
const hasImages = ({ image_input, image_output }: z.output<typeof given>) => image_input != null || image_output != null

function toGiven(wire: WirePrice): GivenPrice {
  const long_context = wire.long_context?.map(({ above_input_tokens, usd_per_mtok }) => ({
    above_input_tokens,
    rates: ratesOf(usd_per_mtok),
  }))
  return withoutNulls({
    rates: wire.usd_per_mtok ? ratesOf(wire.usd_per_mtok) : null,
    request_nano_usd: wire.usd_per_request,
    unit_nano_usd: wire.usd_per_unit,
    web_search_nano_usd_per_thousand: wire.usd_per_thousand_web_searches,
    tier_percent: wire.tier_percent && Object.keys(wire.tier_percent).length > 0 ? wire.tier_percent : null,
    long_context: long_context?.length
      ? long_context.toSorted((a, b) => a.above_input_tokens - b.above_input_tokens)
      : null,
    context_window: wire.context_window,
  }) as GivenPrice
}

const ratesOf = (rates: z.output<typeof given>) => withoutNulls(rates) as unknown as GivenRates
