// A reason not to start that the operator can mend: only its message is shown.

export class StartFault extends Error {
  override readonly name = 'StartFault'
}
