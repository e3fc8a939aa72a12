import { defineConfig } from 'drizzle-kit';

/** `npm run migration -- --name <what>` writes the next migration from `schema.ts`. */
export default defineConfig({
  dialect: 'postgresql',
  schema: './shared/engine/ledger/schema.ts',
  out: './shared/engine/ledger/migrations',
});
