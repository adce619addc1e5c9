import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: ['test/support/global-setup.ts'],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    // Each file may start a workerd and a Postgres. Three on two cores, as they spend about a fourth of their time waiting.
    maxWorkers: 3,
    // Every file cleans up after itself; loading Miniflare and the SDKs anew for each would take a third of the time.
    isolate: false,
    // Without it a tenth of the time goes into collecting what only just was not garbage yet.
    execArgv: ['--max-semi-space-size=64'],
    // Concurrent tests of one file mostly wait, but have limits of a second or two to keep. Set here, because in a file it would
    // hold for all later files of its worker.
    maxConcurrency: 20,
    silent: 'passed-only',
  },
})
