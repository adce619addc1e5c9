// As much of the worker as a start needs: the admin routes that make the demo user, and a look at the variables.

export default {
  async fetch(request, env) {
    const { pathname } = new URL(request.url)
    const token = request.headers.get('authorization')?.replace('Bearer ', '')
    if (env.CAP_STATUS === '500') {
      const problem = { status: 503, code: 'not_configured', detail: 'Tollgate is not configured. CAP_STATUS: wrong' }
      return Response.json(problem, { status: 503, headers: { 'content-type': 'application/problem+json' } })
    }
    if (pathname === '/vars') return Response.json(env)
    if (pathname === '/usage/caps/status') return new Response(null, { status: token?.startsWith('tg_') ? 200 : 401 })
    if (token !== env.ADMIN_TOKEN) return new Response(null, { status: 401 })
    if (pathname.endsWith('/keys')) return Response.json({ id: 'key', key: `tg_${crypto.randomUUID()}` })
    return Response.json({ id: 'user', data: [] })
  },
}
