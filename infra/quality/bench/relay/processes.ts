import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { ClientsMessage, ClientsReport } from './clients.ts';
import type { ServerMessage, Usage } from './server.ts';

const file = (name: string) => fileURLToPath(new URL(name, import.meta.url));

/** Sends a message to a child process and waits for its answer. */
async function ask<T>(child: ChildProcess, message: ServerMessage | ClientsMessage): Promise<T> {
  const answer = next<T>(child);
  child.send(message);
  return answer;
}

/** Waits for the next message of a child process; rejects when it ends instead. */
function next<T>(child: ChildProcess): Promise<T> {
  return new Promise((resolve, reject) => {
    const ended = () => reject(new Error('a process of the benchmark ended early'));
    child.once('exit', ended);
    child.once('message', (message) => {
      child.off('exit', ended);
      resolve(message as T);
    });
  });
}

async function stop(child: ChildProcess): Promise<void> {
  const gone = once(child, 'exit');
  child.kill('SIGKILL');
  await gone;
}

/** Starts a relay or the bare server in a process of its own. */
export async function startServer(kind: 'relay' | 'bare', env: Record<string, string> = {}) {
  const child = fork(file('./server.ts'), [kind], {
    env: { ...process.env, LOG_LEVEL: 'silent', ...env },
    execArgv: ['--expose-gc'],
  });
  const { port } = await next<Usage>(child);
  return {
    url: `http://127.0.0.1:${port}`,
    usage: () => ask<Usage>(child, 'usage'),
    /** Its usage after a garbage collection. */
    collect: () => ask<Usage>(child, 'collect'),
    /**
     * Sends from the bare server to all clients.
     * @param bytes of a frame; 0: a JSON event
     */
    broadcast: (bytes: number, times: number, everyMs: number) =>
      ask<'sent'>(child, { broadcast: { bytes, times, everyMs } }),
    stop: () => stop(child),
  };
}

/** Starts a process of clients. */
export async function startClients() {
  const child = fork(file('./clients.ts'));
  await next(child);
  return {
    open: (open: Extract<ClientsMessage, object>['open'], count: number) => ask(child, { open, count }),
    reset: () => ask(child, 'reset'),
    report: () => ask<ClientsReport>(child, 'report'),
    stop: () => stop(child),
  };
}
