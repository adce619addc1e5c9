// How a call is sent on Deno, where `fetch` alone might send it twice. I/O: fetch.

/**
 * Deno sends a request once more where its connection ends without an answer, also a POST that the provider has billed by then:
 * https://github.com/denoland/deno/issues/35610. It cannot where the body is a stream that it did not make itself. A call
 * without a body may still be sent twice.
 */
export async function denoFetch(...call: Parameters<typeof fetch>): Promise<Response> {
  const request = new Request(...call)
  return fetch(request, { body: request.body?.pipeThrough(new TransformStream()) ?? null })
}
