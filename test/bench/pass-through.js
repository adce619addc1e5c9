// The yardstick: a worker that only fetches the upstream and returns its response. JavaScript, so that workerd takes it
// as it is.

export default {
  fetch({ url, method, headers, body }, env) {
    return fetch(env.UPSTREAM + new URL(url).pathname, { method, headers, body })
  },
}
