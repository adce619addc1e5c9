// Where `npm run generate` reads the tables and writes the next migration. Write its way back (`.down.sql`) by hand.

import { defineConfig } from 'drizzle-kit'

export default defineConfig({ dialect: 'postgresql', schema: './src/postgres/schema.ts', out: './migrations' })
