// The few words of SQL that the ledger needs, so that the same policy runs on a Durable Object's storage, on
// node:sqlite and on anything else that can do as much.

export type SqlValue = string | number | null

export interface Sql {
  /** Runs one statement and returns its rows. */
  all<Row>(statement: string, ...bindings: SqlValue[]): Row[]
  /** All of it or nothing: an exception undoes what `body` wrote and goes on to the caller. */
  transaction(body: () => void): void
}
