// How a call is sent on Deno, where `fetch` alone might send it twice and not decompress its answer. I/O: fetch.

/** What Deno's `DecompressionStream` calls them. The types are workerd's, which does not have the last one. */
const COMPRESSIONS = new Map<string | null, 'gzip' | 'deflate'>([
  ['gzip', 'gzip'],
  ['deflate', 'deflate'],
  ['br', 'brotli' as 'gzip'],
])

/**
 * Deno sends a request once more where its connection ends without an answer, also a POST that the provider has billed by then:
 * https://github.com/denoland/deno/issues/35610. It cannot where the body is a stream that it did not make itself. A call
 * without a body may still be sent twice.
 *
 * Where a request has an `accept-encoding`, as all have here, Deno leaves a compressed answer as it is.
 */
export async function denoFetch(...call: Parameters<typeof fetch>): Promise<Response> {
  const request = new Request(...call)
  const answer = await fetch(request, { body: request.body?.pipeThrough(new TransformStream()) ?? null })
  const compression = COMPRESSIONS.get(answer.headers.get('content-encoding'))
  if (!answer.body || !compression) return answer
  const plain = new Response(answer.body.pipeThrough(new DecompressionStream(compression)), answer)
  // Its length was that of the compressed body.
  for (const name of ['content-encoding', 'content-length']) plain.headers.delete(name)
  return plain
}
