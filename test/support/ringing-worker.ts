// The worker as it is, but a test may ring the alarm of its ledgers, and fill their disk.

import tollgate, { UsageLedger as Ledger } from '../../src/index.ts'

export class UsageLedger extends Ledger {
  /** In how many milliseconds its alarm rings; null: never. */
  async ringsIn(): Promise<number | null> {
    const at = await this.ctx.storage.getAlarm()
    return at && at - Date.now()
  }

  /** Rings it now, as if its time had come. */
  async ring(): Promise<void> {
    await this.ctx.storage.deleteAlarm()
    await this.alarm()
  }

  /** From now on no event finds room. */
  async fillDisk(): Promise<void> {
    this.ctx.storage.sql.exec(
      "create trigger full_disk before insert on waiting_events begin select raise(abort, 'made by a test'); end",
    )
  }

  async emptyDisk(): Promise<void> {
    this.ctx.storage.sql.exec('drop trigger full_disk')
  }
}

export default tollgate
