import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import type Docker from 'dockerode';
import { LABELS } from '../../../workers/containers/spec.ts';

/** An engine event of a container of the fleet; `at` in ns of the engine's clock. */
export type EngineEvent = {
  action: string;
  /** The engine's id of the container. */
  id: string;
  /** The instance: the ledger knows the desktop that it became, if any. */
  instanceId: string;
  host: string;
  at: bigint;
};

export type EngineWatch = { events: EngineEvent[]; ended: () => boolean; stop: () => void };

type Message = {
  Action: string;
  timeNano: number;
  Actor: { ID: string; Attributes: Record<string, string> };
};

/** Records the engine's events of a fleet's containers from now on: they prove which containers ran. */
export async function watchEngine(docker: Docker, fleet: string): Promise<EngineWatch> {
  const label = [`${LABELS.fleet}=${fleet}`];
  const stream = (await docker.getEvents({ filters: { label, type: ['container'] } })) as Readable;
  const events: EngineEvent[] = [];
  let ended = false;
  stream.on('error', () => undefined);
  stream.on('close', () => {
    ended = true;
  });
  createInterface({ input: stream }).on('line', (line) => {
    // The nanoseconds exceed the integers of a JavaScript number.
    const nanos = /"timeNano":(\d+)/.exec(line)?.[1] ?? '0';
    const { Action: action, Actor: actor } = JSON.parse(line) as Message;
    const { [LABELS.instance]: instanceId = '', [LABELS.host]: host = '' } = actor.Attributes;
    events.push({ action, id: actor.ID, instanceId, host, at: BigInt(nanos) });
  });
  return { events, ended: () => ended, stop: () => stream.destroy() };
}
