import { join } from 'node:path';
import { poolerAnswers } from '../pooler/answers.ts';
import type { PartsContext } from './context.ts';
import { sharedSettings } from './environment.ts';
import { listensOn } from './processes.ts';
import type { Part } from './supervisor.ts';

const READY_WITHIN_MS = 30_000;

/** The pooler as a part of the stack. It is ready without PostgreSQL, too: readiness of the ledger is the edge's. */
export function poolerPart(context: PartsContext): Part {
  const { root, dir, ports, settings } = context;
  const { port, release } = ports.POOLER_PORT;
  const { ledger, replica } = sharedSettings(context);
  return {
    name: 'pooler',
    what: 'PgBouncer, for the edge',
    url: `postgres://127.0.0.1:${port}`,
    command: process.execPath,
    args: [join(root, 'infra/local/pooler/main.ts')],
    env: {
      ...settings.inherited,
      ...ledger,
      ...replica,
      BIND: '127.0.0.1',
      PORT: `${port}`,
      DATA_DIR: dir.file('pooler'),
    },
    prepare: release,
    ready: async (pid) => listensOn(pid, port) && (await poolerAnswers(port)),
    readyWithinMs: READY_WITHIN_MS,
    // Ends when the transactions under way have ended.
    stopSignal: 'SIGINT',
    stopWithinMs: 5000,
  };
}
