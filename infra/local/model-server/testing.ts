import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { freePort } from '../../quality/testing/port.ts';
import { waitFor } from '../../quality/testing/wait.ts';

/** A model server as a process of the test's own, under the kernel's care: it dies with the test. */
export type TestModelServer = {
  url: string;
  child: ChildProcess;
  /** Its log. */
  output: () => string;
  /** One of its metrics, by name. */
  metric: (name: string) => Promise<number>;
  exited: Promise<number | null>;
  stop: () => Promise<void>;
};

/** Starts a model server, and waits until it serves unless `untilServing` is false. */
export async function startModelServer(
  env: Record<string, string> = {},
  { untilServing = true } = {},
): Promise<TestModelServer> {
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const main = join(import.meta.dirname, 'main.ts');
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', process.execPath, main], {
    env: { ...process.env, PORT: `${port}`, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
  const exited = new Promise<number | null>((resolve) => child.once('close', resolve));
  const answers = () =>
    fetch(`${url}/health`).then(
      ({ ok }) => ok,
      () => false,
    );
  if (untilServing) {
    await waitFor('the model server', () => {
      if (child.exitCode !== null) throw new Error(`the model server ended:\n${output}`);
      return answers();
    });
  }
  return {
    url,
    child,
    output: () => output,
    metric: async (name) => {
      const text = await (await fetch(`${url}/metrics`)).text();
      return Number(new RegExp(`^${name}(?:{[^}]*})? (\\S+)$`, 'm').exec(text)?.[1]);
    },
    exited,
    stop: async () => {
      child.kill('SIGKILL');
      await exited;
    },
  };
}
