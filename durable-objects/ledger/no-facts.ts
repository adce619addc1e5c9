// The facts of a call of which nothing is known.

import type { EventFacts } from './types.ts'

export const NO_FACTS: EventFacts = Object.freeze({
  response_model: null,
  status: null,
  latency_ms: null,
  time_to_first_byte_ms: null,
  cached_input_tokens: 0,
  cache_write_5m_tokens: 0,
  cache_write_1h_tokens: 0,
  audio_input_tokens: 0,
  image_input_tokens: 0,
  reasoning_tokens: 0,
  audio_output_tokens: 0,
  image_output_tokens: 0,
  web_search_requests: 0,
  service_tier: null,
  priced_as: null,
  price_source: null,
  clamped_output_tokens: null,
  error_class: null,
  provider_request_id: null,
})
