import { spawn } from 'node:child_process';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { newId } from '@warmwind/shared/contract/ids';
import type { EdgeBundle } from '../../../edge/build.ts';
import { workerdCommand } from './workerd.ts';

export type ServeOptions = {
  bundle: EdgeBundle;
  /** The Worker's variables and secrets. */
  bindings: Record<string, string>;
  /** The Worker's databases: `postgres://` URLs by binding. */
  hyperdrives?: Record<string, string>;
  /** Default 127.0.0.1. */
  host?: string;
  /** Default any free one. */
  port?: number;
  /** Receives every line that the Worker or the runtime writes. */
  onLine?: (line: string) => unknown;
};

export type RunningEdge = { url: string; stop: () => Promise<void> };

/** Bounds of the runtime: to listen, and to finish its requests when it is stopped, ms. */
const BOUND_MS = 20_000;

/**
 * Runs a bundled Worker in workerd, as a child of this process.
 * @throws Error when it does not listen
 */
export async function startEdge(options: ServeOptions): Promise<RunningEdge> {
  const { bundle, bindings, hyperdrives = {}, host = '127.0.0.1', port = 0, onLine } = options;
  const config = join(bundle.dir, `worker-${newId()}.capnp`);
  const command = await workerdCommand({ bundle, bindings, hyperdrives, address: { host, port }, config });
  const child = spawn(command.file, [...command.args, '--control-fd=3'], {
    env: command.env,
    stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
  });
  const kill = () => child.kill('SIGKILL');
  process.once('exit', kill);
  const gone = new Promise<void>((resolve) => {
    child.once('error', () => resolve());
    child.once('exit', () => resolve());
  }).finally(() => process.off('exit', kill));
  const output: string[] = [];
  const [, stdout, stderr, control] = child.stdio as Readable[];
  if (!stdout || !stderr || !control) throw new Error('the edge has no pipes');
  const readers = [stdout, stderr].map((stream) =>
    createInterface(stream).on('line', (line) => {
      if (output.length < 50) output.push(line);
      onLine?.(line);
    }),
  );
  const stop = async () => {
    child.kill('SIGTERM');
    const timer = setTimeout(kill, BOUND_MS);
    await gone;
    clearTimeout(timer);
  };

  const bound = setTimeout(kill, BOUND_MS);
  const listening = await Promise.race([listenEvent(control), gone]);
  clearTimeout(bound);
  await rm(config, { force: true });
  if (listening === undefined) throw new Error(`the edge does not start:\n${output.join('\n')}`);
  if (!onLine) {
    for (const reader of readers) reader.close();
    stdout.resume();
    stderr.resume();
  }
  return { url: `http://${host}:${listening}`, stop };
}

/** The runtime reports its port on its control pipe. */
function listenEvent(control: Readable): Promise<number> {
  return new Promise((resolve) => {
    createInterface(control).on('line', (line) => {
      const { event, port } = JSON.parse(line) as { event: string; port?: number };
      if (event === 'listen' && port !== undefined) resolve(port);
    });
  });
}
