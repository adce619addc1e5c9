import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: ['test/support/global-setup.ts'],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    // Each file may start a workerd and a Postgres. Three on two cores, since they wait about a fourth of their time.
    maxWorkers: 3,
    // Every file cleans up after itself; to load Miniflare and the SDKs anew for each would be a third of the time.
    isolate: false,
    // Of one file: what runs at the same time there mostly waits, and has limits of a second or two to keep. Set here, as the
    // first file of a worker sets it for all.
    maxConcurrency: 20,
    silent: 'passed-only',
  },
})
