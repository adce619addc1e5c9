// Prices that admins have set, in Postgres. Rows are added and ended, never rewritten: see `prices` in schema.ts.

import { and, asc, desc, eq, isNull, sql } from 'drizzle-orm'
import type { GivenPrice, Override } from '../pricing/override.ts'
import { type Database, sqlState, violatedConstraint } from './client.ts'
import { isAfter, type Page, type PageRequest, pageOf } from './pages.ts'
import { type PriceRow, prices } from './schema.ts'

/** All that is not ended goes to every worker as one value. */
export const MOST_PRICES = 2_000

export interface NewPrice {
  id: string
  provider: string
  model: string
  effective_from: Date
  price: GivenPrice
  note: string | null
  created_by: string
}

/** Whether a change failed because there is a price of this model from this instant on already. */
export const isSecondPrice = (error: unknown) => violatedConstraint(error) === 'prices_version'

/** Whether a change failed because there would be more than `MOST_PRICES`. */
export const isTooManyPrices = (error: unknown) => sqlState(error) === '22012'

const live = isNull(prices.ended_at)

/** Last statement of a batch that adds prices: undoes it by dividing by zero. */
const refuseTooMany = (db: Database) =>
  db.execute(sql`select 1 / (count(*) <= ${sql.raw(String(MOST_PRICES))})::int from prices where ended_at is null`)

export interface PriceChange {
  added: NewPrice[]
  /** What the added ones take the place of. */
  replaced: { id: string; replaced_by: string }[]
  by: string
}

/** All of it or nothing. @throws what `isSecondPrice` and `isTooManyPrices` know. */
export async function changePrices(db: Database, { added, replaced, by }: PriceChange): Promise<PriceRow[]> {
  if (added.length === 0) return []
  const [, rows] = await db.batch([
    db.execute(sql`
      update prices set ended_at = now(), ended_by = ${by}, replaced_by = pair.replaced_by
      from json_to_recordset(${JSON.stringify(replaced)}::json) as pair(id uuid, replaced_by uuid)
      where prices.id = pair.id and ended_at is null`),
    db.insert(prices).values(added).returning(),
    refuseTooMany(db),
  ])
  return rows
}

/** Null: the old one has ended in the meantime, and nothing is changed. @throws what `isSecondPrice` knows. */
export async function replacePrice(db: Database, oldId: string, price: NewPrice): Promise<PriceRow | null> {
  const row = JSON.stringify([{ ...price, effective_from: price.effective_from.toISOString() }])
  await db.execute(sql`
    with old as (
      update prices set ended_at = now(), ended_by = ${price.created_by}, replaced_by = ${price.id}::uuid
      where id = ${oldId}::uuid and ended_at is null returning id
    )
    insert into prices (id, provider, model, effective_from, price, note, created_by)
    select added.id, provider, model, effective_from, price, note, created_by
    from json_populate_recordset(null::prices, ${row}::json) added where exists (select 1 from old)`)
  return findPrice(db, price.id)
}

/** Whether it was not ended before. */
export async function endPrice(db: Database, id: string, by: string): Promise<boolean> {
  const rows = await db
    .update(prices)
    .set({ ended_at: sql`now()`, ended_by: by })
    .where(and(eq(prices.id, id), live))
    .returning({ id: prices.id })
  return rows.length > 0
}

export async function findPrice(db: Database, id: string): Promise<PriceRow | null> {
  const [row] = await db.select().from(prices).where(eq(prices.id, id))
  return row ?? null
}

export interface PriceFilter {
  provider?: string | undefined
  model?: string | undefined
  /** Ended ones too. */
  history?: boolean | undefined
}

export async function listPrices(
  db: Database,
  page: PageRequest,
  { provider, model, history }: PriceFilter,
): Promise<Page<PriceRow>> {
  const rows = await db
    .select()
    .from(prices)
    .where(
      and(
        provider === undefined ? undefined : eq(prices.provider, provider),
        model === undefined ? undefined : sql`lower(${prices.model}) = ${model.toLowerCase()}`,
        history ? undefined : live,
        isAfter(prices.created_at, prices.id, page),
      ),
    )
    .orderBy(desc(prices.created_at), desc(prices.id))
    .limit(page.limit + 1)
  return pageOf(rows, page.limit, (row) => row.created_at)
}

/** All that are not ended, at most `MOST_PRICES`; in the order of a list that people read. */
export async function listLivePrices(db: Database): Promise<PriceRow[]> {
  return db
    .select()
    .from(prices)
    .where(live)
    .orderBy(asc(prices.provider), asc(prices.model), asc(prices.effective_from))
}

/** What the workers must know: of each model the price in force and those to come. */
export async function loadOverrides(db: Database, now_ms: number): Promise<Override[]> {
  const now = new Date(now_ms).toISOString()
  const rows = await db
    .select()
    .from(prices)
    .where(
      and(
        live,
        sql`not exists (
          select 1 from prices later where later.ended_at is null and later.provider = ${prices.provider}
          and lower(later.model) = lower(${prices.model}) and later.effective_from > ${prices.effective_from}
          and later.effective_from <= ${now}::timestamptz)`,
      ),
    )
    .orderBy(asc(prices.provider), asc(prices.model), asc(prices.effective_from))
  return rows.map(({ id, provider, model, effective_from, price }) => ({
    id,
    provider,
    model,
    effective_from: effective_from.getTime(),
    price,
  }))
}
