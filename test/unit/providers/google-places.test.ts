import { describe, expect, test } from 'vitest'
import { costOf, worstCase } from '../../../src/pricing/cost.ts'
import { NO_USAGE } from '../../../src/providers/answer.ts'
import type { Bound, Operation } from '../../../src/providers/dialect.ts'
import { googlePlaces, PLACES_LIST_PRICES, placesPrices } from '../../../src/providers/google-places.ts'
import { askedWith, headOf } from './replay.ts'

const operation = (name: string) => googlePlaces.operations.find((one) => one.name === name) as Operation
const read = (name: string, mask: string | null, query = '') =>
  operation(name).readBound?.(
    askedWith(
      {},
      { headers: new Headers(mask === null ? {} : { 'x-goog-fieldmask': mask }), query: new URLSearchParams(query) },
    ),
  )
const skuOf = (...of: Parameters<typeof read>) => (read(...of) as Bound).model

test.each([
  ['search_text', 'places.id,places.name,nextPageToken', '', 'text-search-ids'],
  ['search_text', 'places.id,places.formattedAddress', '', 'text-search-pro'],
  ['search_text', 'places.displayName.text', '', 'text-search-pro'],
  ['search_text', 'places.id,places.rating', '', 'text-search-enterprise'],
  ['search_text', 'places.id, places.reviews', '', 'text-search-enterprise-atmosphere'],
  ['search_text', 'places.somethingNew', '', 'text-search-enterprise-atmosphere'],
  ['search_text', 'places.display_name', '', 'text-search-enterprise-atmosphere'],
  ['search_text', 'places', '', 'text-search-enterprise-atmosphere'],
  ['search_text', 'places.*', '', 'text-search-enterprise-atmosphere'],
  ['search_text', '*', '', 'text-search-enterprise-atmosphere'],
  ['search_text', null, '', 'text-search-enterprise-atmosphere'],
  ['search_text', 'places.id', '$fields=places.rating', 'text-search-enterprise'],
  ['search_text', null, 'fields=places(id,reviews)', 'text-search-enterprise-atmosphere'],
  ['search_text', 'places.id', 'fields=*', 'text-search-enterprise-atmosphere'],
  ['search_nearby', 'places.id', '', 'nearby-search-pro'],
  ['search_nearby', 'places.websiteUri', '', 'nearby-search-enterprise'],
  ['search_nearby', 'routingSummaries', '', 'nearby-search-enterprise-atmosphere'],
  ['place_details', 'id,name', '', 'place-details-ids'],
  ['place_details', 'location', '', 'place-details-essentials'],
  ['place_details', 'id,displayName', '', 'place-details-pro'],
  ['place_details', 'id,photos.name', '', 'place-details-ids'],
  ['place_details', 'openingDate', '', 'place-details-pro'],
  ['search_text', 'places.photos', '', 'text-search-pro'],
  ['place_details', null, 'fields=id,rating', 'place-details-enterprise'],
  ['place_details', 'places.id', '', 'place-details-enterprise-atmosphere'],
  ['autocomplete', null, '', 'autocomplete-request'],
  ['place_photo', null, 'maxHeightPx=400&skipHttpRedirect=true', 'place-photo'],
])('%s of mask %j and query %j is billed as %s', (name, mask, query, sku) => {
  expect(skuOf(name, mask, query)).toBe(sku)
})

test.each(['$req=x', '$httpHeaders=X-Goog-FieldMask:*', '$httpMethod=POST', 'callback=f'])(
  '?%s is refused',
  (query) => {
    for (const { name } of googlePlaces.operations) {
      expect(read(name, '*', query)).toMatchObject({ code: 'invalid_request' })
    }
  },
)

describe('a call', () => {
  const bound = read('search_text', '*') as Bound
  const price = placesPrices('google-places', 'text-search-enterprise-atmosphere')

  test('uses no tokens, and costs its SKU, held and charged alike', () => {
    expect(bound).toMatchObject({ input_tokens: 0, output: null, open_input: null, unbounded: null })
    if (!price) return expect.unreachable('no price')
    expect(worstCase(price, bound, 0)).toEqual({ input_cost_nano_usd: 40_000_000, output_nano_usd_per_mtok: 0 })
    expect(costOf(price, NO_USAGE, null)).toBe(40_000_000)
  })

  test.each([
    [200, true],
    [302, true],
    [520, true],
    [524, true],
    [400, false],
    [429, false],
    [500, false],
  ])('answered %i is one that is paid: %s', (status, isPaid) => {
    const meter = operation('place_photo').meter(askedWith({}))({ ...headOf('json'), status })
    meter.push(new Uint8Array([0]))
    expect(meter.end()).toMatchObject({ usage: isPaid ? NO_USAGE : null, complete: status < 400 })
  })
})

test('every SKU that an operation can name has a list price, and nothing else has one', () => {
  for (const sku of Object.keys(PLACES_LIST_PRICES)) {
    expect(placesPrices('google-places', sku)).toMatchObject({
      priced_as: sku,
      price_source: 'google-maps-list-prices',
    })
  }
  expect(placesPrices('google-places', 'toString')).toBeUndefined()
  expect(placesPrices('openai', 'place-photo')).toBeUndefined()
})
