import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: ['test/support/build.ts'],
    testTimeout: 30_000,
    hookTimeout: 60_000,
    // Two cores: every file may start a workerd and a Postgres of its own.
    maxWorkers: 2,
    silent: 'passed-only',
  },
})
