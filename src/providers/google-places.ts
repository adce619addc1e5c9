// Google's Places API (New): billed by the call, at the dearest SKU among the fields that the caller asks for. Pure.
// https://developers.google.com/maps/documentation/places/web-service/usage-and-billing

import type { GatewayError } from '../errors.ts'
import { type Price, priceWithoutTokens } from '../pricing/price.ts'
import type { Asked, Dialect } from './dialect.ts'
import { googleError } from './google-errors.ts'
import { GOOGLE, refuseUnknownQuery } from './google-request.ts'
import { perCallOperation } from './per-call.ts'
import { sseError } from './sse.ts'

const PLACES_PROVIDER = 'google-places'

/**
 * Google's list prices in nano-dollars a request, the first band of volume, without the free calls of each month (which
 * belong to a billing account, not to a call). An operator with other terms overrides them by these names.
 * https://developers.google.com/maps/billing-and-pricing/pricing
 */
export const PLACES_LIST_PRICES = {
  'autocomplete-request': 2_830_000,
  'place-details-ids': 0,
  'place-details-essentials': 5_000_000,
  'place-details-pro': 17_000_000,
  'place-details-enterprise': 20_000_000,
  'place-details-enterprise-atmosphere': 25_000_000,
  'place-photo': 7_000_000,
  'nearby-search-pro': 32_000_000,
  'nearby-search-enterprise': 35_000_000,
  'nearby-search-enterprise-atmosphere': 40_000_000,
  'text-search-ids': 0,
  'text-search-pro': 32_000_000,
  'text-search-enterprise': 35_000_000,
  'text-search-enterprise-atmosphere': 40_000_000,
} as const satisfies Record<string, number>

type PlacesSku = keyof typeof PLACES_LIST_PRICES

/** For the price book to ask before its catalogue and after an admin's own. */
export function placesPrices(provider: string, model: string): Price | undefined {
  if (provider !== PLACES_PROVIDER || !isSku(model)) return undefined
  return priceWithoutTokens({
    priced_as: model,
    price_source: 'google-maps-list-prices',
    request_nano_usd: PLACES_LIST_PRICES[model],
  })
}

const isSku = (model: string): model is PlacesSku => Object.hasOwn(PLACES_LIST_PRICES, model)

/**
 * Tiers of fields, the cheapest first. A field in none of the lists belongs to the dearest, which has no list.
 * https://developers.google.com/maps/documentation/places/web-service/place-details#fieldmask
 */
const TIERS: readonly ReadonlySet<string>[] = [
  'attributions id movedPlace movedPlaceId name nextPageToken',
  `addressComponents addressDescriptor adrFormatAddress formattedAddress location photos plusCode postalAddress
  shortFormattedAddress types viewport`,
  `accessibilityOptions businessStatus containingPlaces displayName googleMapsLinks googleMapsUri iconBackgroundColor
  iconMaskBaseUri openingDate primaryType primaryTypeDisplayName pureServiceAreaBusiness subDestinations timeZone
  utcOffsetMinutes`,
  `currentOpeningHours currentSecondaryOpeningHours internationalPhoneNumber nationalPhoneNumber priceLevel priceRange
  rating regularOpeningHours regularSecondaryOpeningHours userRatingCount websiteUri`,
].map((fields) => new Set(fields.split(/\s+/)))

/** The SKU of each tier. */
type Skus = readonly [ids: PlacesSku, essentials: PlacesSku, pro: PlacesSku, enterprise: PlacesSku, all: PlacesSku]

const TEXT_SEARCH: Skus = [
  'text-search-ids',
  'text-search-pro',
  'text-search-pro',
  'text-search-enterprise',
  'text-search-enterprise-atmosphere',
]
const NEARBY_SEARCH: Skus = [
  'nearby-search-pro',
  'nearby-search-pro',
  'nearby-search-pro',
  'nearby-search-enterprise',
  'nearby-search-enterprise-atmosphere',
]
const PLACE_DETAILS: Skus = [
  'place-details-ids',
  'place-details-essentials',
  'place-details-pro',
  'place-details-enterprise',
  'place-details-enterprise-atmosphere',
]

/** Every mask that Google may read counts; a missing one asks for all. `prefix` is `places.` in the masks of searches. */
function skuOfMask(skus: Skus, prefix: '' | 'places.') {
  return ({ headers, query }: Asked): PlacesSku | GatewayError => {
    const refused = refuseQuery(query)
    if (refused) return refused
    const masks = [headers.get('x-goog-fieldmask') ?? '', ...query.getAll('fields'), ...query.getAll('$fields')]
    const paths = masks.flatMap((mask) => mask.split(',')).filter((path) => path.trim() !== '')
    if (paths.length === 0) return skus[4]
    return skus[Math.max(...paths.map((path) => tierOf(path.trim(), prefix)))] ?? skus[4]
  }
}

function tierOf(path: string, prefix: string): number {
  const isOfPlace = path.startsWith(prefix)
  const field = (isOfPlace ? path.slice(prefix.length) : path).split('.', 1)[0] ?? ''
  if (!isOfPlace && field !== 'nextPageToken') return TIERS.length
  // In the details of a place, but not in searches, the names of its photos cost as little as its id.
  if (field === 'photos' && prefix === '') return 0
  const tier = TIERS.findIndex((fields) => fields.has(field))
  return tier === -1 ? TIERS.length : tier
}

/** At the list price of one request: a session may make it cheaper, never dearer. */
const autocomplete = ({ query }: Asked) => refuseQuery(query) ?? 'autocomplete-request'
const photo = ({ query }: Asked) => refuseQuery(query) ?? 'place-photo'

const KNOWN_QUERY = 'fields $fields languageCode regionCode sessionToken maxHeightPx maxWidthPx skipHttpRedirect'.split(
  ' ',
)

const refuseQuery = (query: URLSearchParams) => refuseUnknownQuery(query, KNOWN_QUERY)

/** `places:searchText` is one segment, written as a pattern because Hono takes a bare colon for a parameter. */
const searchPath = (verb: string) => `/v1/:method{places:${verb}}`

export const googlePlaces: Dialect = {
  ...GOOGLE,
  provider: PLACES_PROVIDER,
  operations: [
    perCallOperation(
      { name: 'search_text', method: 'POST', path: searchPath('searchText') },
      skuOfMask(TEXT_SEARCH, 'places.'),
    ),
    perCallOperation(
      { name: 'search_nearby', method: 'POST', path: searchPath('searchNearby') },
      skuOfMask(NEARBY_SEARCH, 'places.'),
    ),
    perCallOperation({ name: 'autocomplete', method: 'POST', path: searchPath('autocomplete') }, autocomplete),
    perCallOperation(
      { name: 'place_details', method: 'GET', path: '/v1/places/:place{[\\w-]+}' },
      skuOfMask(PLACE_DETAILS, ''),
    ),
    perCallOperation(
      { name: 'place_photo', method: 'GET', path: '/v1/places/:place{[\\w-]+}/photos/:photo{[\\w-]+}/media' },
      photo,
    ),
  ],
  forwarded_headers: [
    'content-type',
    'accept',
    'accept-language',
    'user-agent',
    'x-goog-api-client',
    'x-goog-fieldmask',
  ],
  streamError: (error) => sseError(googleError(error)),
  maxOutputTokens: () => null,
}
