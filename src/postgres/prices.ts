// Prices that admins have set, in Postgres. Rows are added and ended, never rewritten: see `prices` in schema.ts.

import { and, asc, desc, eq, isNull, lte, or, sql } from 'drizzle-orm'
import type { GivenPrice, Override } from '../pricing/override.ts'
import { type Database, sqlState, violatedConstraint } from './client.ts'
import { instant, isAfter, type Page, type PageRequest, pageOf } from './pages.ts'
import { type PriceRow, prices } from './schema.ts'

/** Most prices in force or to come: all of them go to every worker as one value. Earlier ones are history. */
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

/** Whether a change failed because the model already has a price from this instant on. */
export const isSecondPrice = (error: unknown) => violatedConstraint(error) === 'prices_version'

/** Whether a change failed because more than `MOST_PRICES` would be in force or to come. */
export const isTooManyPrices = (error: unknown) => sqlState(error) === '22012'

const live = isNull(prices.ended_at)
const isOfModel = (model: string) => sql`lower(${prices.model}) = lower(${model}::text)`

/** Each model's price in force and those to come. An earlier one applies again only where the later ones are deleted. */
const isCurrent = (now_ms: number) =>
  and(
    live,
    sql`(${prices.effective_from} > ${instant(now_ms)} or ${prices.id} in (
      select distinct on (provider, lower(model)) id from prices
      where ended_at is null and effective_from <= ${instant(now_ms)}
      order by provider, lower(model), effective_from desc))`,
  )

/** First statement of a batch that adds prices: otherwise two that race would each not count what the other adds. */
const waitForOthers = (db: Database) => db.execute(sql`lock table prices in share row exclusive mode`)

/** Last statement of such a batch: undoes it by dividing by zero. */
const refuseTooMany = (db: Database, now_ms: number) =>
  db.execute(sql`select 1 / (count(*) <= ${sql.raw(String(MOST_PRICES))})::int from prices where ${isCurrent(now_ms)}`)

export interface PriceChange {
  added: NewPrice[]
  /** What the added ones take the place of. */
  replaced: { id: string; replaced_by: string }[]
  by: string
  /** When: what is in force at that instant, or to come, is what counts. */
  now_ms: number
}

/** As a set of rows, so that thousands are one parameter. */
const recordsOf = (added: NewPrice[]) => sql`json_populate_recordset(null::prices, ${JSON.stringify(added)}::json)`

const columns = sql.raw('provider, model, effective_from, price, note, created_by')

/** All of it or nothing. @throws what `isSecondPrice` and `isTooManyPrices` know. */
export async function changePrices(db: Database, { added, replaced, by, now_ms }: PriceChange): Promise<void> {
  if (added.length === 0) return
  await db.batch([
    waitForOthers(db),
    db.execute(sql`
      update prices set ended_at = now(), ended_by = ${by}, replaced_by = pair.replaced_by
      from json_to_recordset(${JSON.stringify(replaced)}::json) as pair(id uuid, replaced_by uuid)
      where prices.id = pair.id and ended_at is null`),
    db.execute(sql`insert into prices (id, ${columns}) select id, ${columns} from ${recordsOf(added)}`),
    refuseTooMany(db, now_ms),
  ])
}

/**
 * Null: the old one has ended in the meantime, and nothing is changed.
 * @throws what `isSecondPrice` and `isTooManyPrices` know (another instant may bring back the price before).
 */
export async function replacePrice(
  db: Database,
  oldId: string,
  price: NewPrice,
  now_ms: number,
): Promise<PriceRow | null> {
  const replace = db.execute(sql`
    with old as (
      update prices set ended_at = now(), ended_by = ${price.created_by}, replaced_by = ${price.id}::uuid
      where id = ${oldId}::uuid and ended_at is null returning id
    )
    insert into prices (id, ${columns})
    select id, ${columns} from ${recordsOf([price])} where exists (select 1 from old)`)
  await db.batch([waitForOthers(db), replace, refuseTooMany(db, now_ms)])
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
        model === undefined ? undefined : isOfModel(model),
        history ? undefined : live,
        isAfter(prices.created_at, prices.id, page),
      ),
    )
    .orderBy(desc(prices.created_at), desc(prices.id))
    .limit(page.limit + 1)
  return pageOf(rows, page.limit, (row) => row.created_at)
}

const byModel = [asc(prices.provider), asc(prices.model), asc(prices.effective_from)]

/** Those in force or to come, in the order of a list that people read. */
export async function listCurrentPrices(db: Database, now_ms: number): Promise<PriceRow[]> {
  return db
    .select()
    .from(prices)
    .where(isCurrent(now_ms))
    .orderBy(...byModel)
}

/** The price of a model that is in force; null where none is. */
export async function findPriceInForce(
  db: Database,
  { provider, model }: Pick<NewPrice, 'provider' | 'model'>,
  now_ms: number,
): Promise<PriceRow | null> {
  const [row] = await db
    .select()
    .from(prices)
    .where(and(live, eq(prices.provider, provider), isOfModel(model), lte(prices.effective_from, new Date(now_ms))))
    .orderBy(desc(prices.effective_from))
    .limit(1)
  return row ?? null
}

/** Those that are not ended, of just these models and instants. */
export async function findVersions(
  db: Database,
  keys: Pick<NewPrice, 'provider' | 'model' | 'effective_from'>[],
): Promise<PriceRow[]> {
  if (keys.length === 0) return []
  const wanted = keys.map(({ provider, model, effective_from }) => ({ provider, model, effective_from }))
  return db
    .select()
    .from(prices)
    .where(
      sql`${prices.id} in (
        select version.id from prices version
        join json_to_recordset(${JSON.stringify(wanted)}::json) wanted(provider text, model text, effective_from timestamptz)
        on version.provider = wanted.provider and lower(version.model) = lower(wanted.model)
        and version.effective_from = wanted.effective_from where version.ended_at is null)`,
    )
}

/**
 * What the workers must know: of each model the price in force and those to come, and the one in force `behind_ms` ago, for
 * workers whose clocks are behind. At most twice `MOST_PRICES`, 15 MB of the longest.
 */
export async function loadOverrides(db: Database, now_ms: number, behind_ms = 0): Promise<Override[]> {
  const before = now_ms - behind_ms
  const rows = await db
    .select()
    .from(prices)
    .where(or(isCurrent(now_ms), and(lte(prices.effective_from, new Date(before)), isCurrent(before))))
    .orderBy(...byModel)
  return rows.map(({ id, provider, model, effective_from, price }) => ({
    id,
    provider,
    model,
    effective_from: effective_from.getTime(),
    price,
  }))
}
