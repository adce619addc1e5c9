// How a call is sent on Deno, where `fetch` alone might send it twice and not decompress its answer. I/O: fetch.

/** The encodings that `DecompressionStream` knows by the names of `content-encoding`. */
const isCompression = (encoding: string | null) => encoding === 'gzip' || encoding === 'deflate'

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
  const encoding = answer.headers.get('content-encoding')
  if (!answer.body || !isCompression(encoding)) return answer
  const plain = new Response(answer.body.pipeThrough(new DecompressionStream(encoding)), answer)
  // Its length was that of the compressed body.
  for (const name of ['content-encoding', 'content-length']) plain.headers.delete(name)
  return plain
}
