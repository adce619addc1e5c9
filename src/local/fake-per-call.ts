// Google's Places (New) and an invented service, `/things`, as answers to requests: both are paid by the call.
// https://developers.google.com/maps/documentation/places/web-service/op-overview

import type { IncomingHttpHeaders } from 'node:http'
import { googleRefusal, refuseCredential } from './fake-gemini.ts'
import { json, type Script } from './fake-script.ts'

export const THINGS_CREDENTIAL = 'things-fake'

export const isPerCall = (path: string) => path.startsWith('/v1/places') || path.startsWith('/things')

export function answerPerCall(method: string, url: URL, headers: IncomingHttpHeaders): Script {
  return url.pathname.startsWith('/things') ? things(method, headers) : places(method, url, headers)
}

function places(method: string, { pathname, searchParams }: URL, headers: IncomingHttpHeaders): Script {
  const refused = refuseCredential(headers, searchParams)
  if (refused) return refused
  const verb = `${method} ${pathname}`
  const place = { name: 'places/ChIJfake', id: 'ChIJfake', displayName: { text: 'Fake Cafe', languageCode: 'en' } }
  if (verb === 'POST /v1/places:autocomplete')
    return json({ suggestions: [{ placePrediction: { placeId: place.id } }] })
  if (/^GET \/v1\/places\/[\w-]+\/photos\/[\w-]+\/media$/.test(verb)) {
    const photoUri = 'https://photos.example/fake.jpg'
    if (searchParams.get('skipHttpRedirect') === 'true') return json({ name: pathname.slice(4), photoUri })
    return { status: 302, headers: { location: photoUri }, steps: [] }
  }
  if (!headers['x-goog-fieldmask'] && !searchParams.has('fields') && !searchParams.has('$fields')) {
    return googleRefusal(400, 'INVALID_ARGUMENT', 'FieldMask is a required parameter.')
  }
  if (/^GET \/v1\/places\/[\w-]+$/.test(verb)) return json(place)
  if (/^POST \/v1\/places:search(Text|Nearby)$/.test(verb)) return json({ places: [place] })
  return googleRefusal(404, 'NOT_FOUND', 'Method not found.')
}

function things(method: string, headers: IncomingHttpHeaders): Script {
  if (headers['x-things-key'] !== THINGS_CREDENTIAL) return json({ error: 'unknown key' }, 401)
  return json({ method, thing: 'a thing' }, 200, { 'x-request-id': 'thing-1' })
}
