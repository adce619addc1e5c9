import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: ['test/support/global-setup.ts'],
    testTimeout: 30_000,
    hookTimeout: 60_000,
    // Two cores: every file may start a workerd and a Postgres of its own.
    maxWorkers: 2,
    // Every file cleans up after itself; to load Miniflare and the SDKs anew for each would be a third of the time.
    isolate: false,
    silent: 'passed-only',
  },
})
