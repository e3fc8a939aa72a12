import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import type Docker from 'dockerode';
import { LABELS } from '../../../workers/containers/spec.ts';

/** Something that happened to a container of the fleet; `at` in ns of the engine. */
export type EngineEvent = {
  action: string;
  /** The engine's id of the container. */
  id: string;
  /** The desktop. */
  containerId: string;
  host: string;
  fence: string;
  at: bigint;
};

export type EngineWatch = { events: EngineEvent[]; ended: () => boolean; stop: () => void };

type Message = {
  Action: string;
  timeNano: number;
  Actor: { ID: string; Attributes: Record<string, string> };
};

/** Follows what the engine does to a fleet's containers, from now on. It is the engine that knows which effects there were. */
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
    // The nanoseconds are more than a number of JavaScript holds.
    const nanos = /"timeNano":(\d+)/.exec(line)?.[1] ?? '0';
    const { Action: action, Actor: actor } = JSON.parse(line) as Message;
    const {
      [LABELS.container]: containerId = '',
      [LABELS.host]: host = '',
      [LABELS.fence]: fence = '',
    } = actor.Attributes;
    events.push({ action, id: actor.ID, containerId, host, fence, at: BigInt(nanos) });
  });
  return { events, ended: () => ended, stop: () => stream.destroy() };
}
