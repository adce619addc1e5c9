/** What a promise comes to within a moment: for what must wait. */
export const soon = <T>(promise: Promise<T>): Promise<T | 'nothing yet'> =>
  Promise.race([promise, new Promise<'nothing yet'>((resolve) => setTimeout(resolve, 20, 'nothing yet'))])
