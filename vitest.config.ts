import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: ['test/support/global-setup.ts'],
    testTimeout: 30_000,
    hookTimeout: 60_000,
    // One more than cores: a fourth of the time a file waits, for a limit to pass or a process to end.
    maxWorkers: 3,
    // Every file cleans up after itself; to load Miniflare and the SDKs anew for each would be a third of the time.
    isolate: false,
    silent: 'passed-only',
  },
})
