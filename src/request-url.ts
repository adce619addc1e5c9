// The URL of a request, which may be invalid: workerd builds it from whatever was sent, such as two hosts.

import { GatewayFault } from './fault.ts'

/** @throws {GatewayFault} `invalid_header` */
export function urlOf({ url }: Pick<Request, 'url'>): URL {
  const parsed = URL.parse(url)
  if (!parsed) throw new GatewayFault({ code: 'invalid_header', message: 'host is not valid.', field: 'host' })
  return parsed
}
