// The runtime that workers are tested in.

/** As wrangler.toml has them. */
export const RUNTIME = { compatibilityDate: '2026-10-01', compatibilityFlags: ['enable_request_signal'] }
