// Builds the worker of services-worker.ts as a deployment would, in a folder of its own for each test file: they run side
// by side.

import { dirname } from 'node:path'
import { bundle } from './build.ts'

const ROOT = `${dirname(dirname(import.meta.dirname))}/`

/** Returns the entry module. */
export function buildServices(name: string): string {
  bundle(`dist/${name}-worker`, 'test/support/services-worker.ts')
  return `${ROOT}dist/${name}-worker/services-worker.js`
}
