import { join } from 'node:path';
import { answersFrom } from './answers.ts';
import type { PartsContext } from './context.ts';
import type { ReservedPort } from './ports.ts';
import type { Part } from './supervisor.ts';

const READY_WITHIN_MS = 30_000;
/** Time between a service's own bound and SIGKILL, as in orchestrators, ms. */
const KILL_GRACE_MS = 5000;

export type ServiceOptions = {
  name: string;
  what: string;
  port: ReservedPort;
  /** Its program, from the root of the project. */
  main: string;
  env: Record<string, string>;
  /** @throws Error when the service would refuse its environment */
  check: (env: Record<string, string>) => unknown;
  readyWithinMs?: number;
};

/** A service of the project as a part of the stack. */
export function servicePart({ root, settings }: PartsContext, options: ServiceOptions): Part {
  const { name, what, port, main, check, readyWithinMs = READY_WITHIN_MS } = options;
  const env = { ...settings.inherited, BIND: '127.0.0.1', PORT: `${port.port}`, ...options.env };
  check(env);
  const url = `http://127.0.0.1:${port.port}`;
  return {
    name,
    what,
    url,
    command: process.execPath,
    args: [join(root, main)],
    env,
    prepare: port.release,
    ready: (pid) => answersFrom(pid, `${url}/health/ready`),
    readyWithinMs,
    stopSignal: 'SIGTERM',
    stopWithinMs: settings.SHUTDOWN_TIMEOUT_MS + KILL_GRACE_MS,
  };
}
