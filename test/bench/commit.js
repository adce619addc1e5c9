// How long one commit takes where the ledgers are: a Durable Object that writes a row about as large as a settlement, or
// writes nothing. The output gate holds the answer to the first until the row is on disk. JavaScript, as pass-through.js.

const ROW = 'x'.repeat(1_000)

export class Committer {
  constructor({ storage }) {
    this.sql = storage.sql
    this.sql.exec('create table if not exists written (id integer primary key, row text)')
  }

  fetch({ url }) {
    if (new URL(url).pathname === '/write') this.sql.exec('insert into written (row) values (?)', ROW)
    return new Response('done')
  }
}

export default {
  fetch: (request, env) => env.COMMITTER.get(env.COMMITTER.idFromName('one')).fetch(request),
}
