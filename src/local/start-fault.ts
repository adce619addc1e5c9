// A reason not to start that is the operator's to mend: shown as its message alone.

export class StartFault extends Error {
  override readonly name = 'StartFault'
}
