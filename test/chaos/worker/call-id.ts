// Request ids that say their place in a row.

export const CALL_ID_PREFIX = '00000000-0000-7000-8000-'
export const callId = (number: number): string => `${CALL_ID_PREFIX}${String(number).padStart(12, '0')}`
