import { z } from 'zod';

/** Settings of the pooler's process. */
export const Config = z.object({
  BIND: z.string().default('127.0.0.1').describe('Address that it listens on.'),
  PORT: z.coerce.number().int().min(1).max(65_535).default(6432).describe('Port that it listens on.'),
  DATA_DIR: z
    .string()
    .startsWith('/', 'use an absolute path')
    .default('/tmp/pooler')
    .describe(
      "Folder of its configuration, which holds the databases' passwords; only its user may enter it.",
    ),
  LEDGER_URL: z.string().min(1).meta({
    description:
      'The PostgreSQL that it connects to, with `?sslmode=verify-full` and so on; its password is that of the pooler’s clients, too.',
    secret: true,
  }),
  LEDGER_READ_URL: z.string().optional().meta({ description: 'A replica.', secret: true }),
  POOL_SIZE: z.coerce
    .number()
    .int()
    .min(1)
    .max(1000)
    .default(20)
    .describe('Connections to each PostgreSQL, at most.'),
  POOL_CLIENTS: z.coerce
    .number()
    .int()
    .min(10)
    .max(20_000)
    .default(1000)
    .describe('Connections of clients, at most: requests of the edge that use the ledger at the same time.'),
});
