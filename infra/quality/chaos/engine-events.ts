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

/** How soon the events of an engine that was restarted are read again, ms. */
const RECONNECT_MS = 50;

/**
 * Records the engine's events of a fleet's containers from now on: they prove which containers ran.
 * @param mayRestart whether the engine may be restarted: its events are then read again
 */
export async function watchEngine(docker: Docker, fleet: string, mayRestart = false): Promise<EngineWatch> {
  const filters = { label: [`${LABELS.fleet}=${fleet}`], type: ['container' as const] };
  const events: EngineEvent[] = [];
  let stopped = false;
  let ended = false;
  let stream: Readable | undefined;
  const read = async () => {
    const reading = (await docker.getEvents({ filters })) as Readable;
    stream = reading;
    if (stopped) reading.destroy();
    reading.on('error', () => undefined);
    reading.on('close', () => {
      if (mayRestart && !stopped) setTimeout(again, RECONNECT_MS);
      else ended = true;
    });
    const lines = createInterface({ input: reading });
    lines.on('error', () => undefined);
    lines.on('line', (line) => events.push(parse(line)));
  };
  const again = () => {
    if (!stopped) read().catch(() => setTimeout(again, RECONNECT_MS));
  };
  await read();
  return {
    events,
    ended: () => ended,
    stop: () => {
      stopped = true;
      stream?.destroy();
    },
  };
}

function parse(line: string): EngineEvent {
  // The nanoseconds exceed the integers of a JavaScript number.
  const nanos = /"timeNano":(\d+)/.exec(line)?.[1] ?? '0';
  const { Action: action, Actor: actor } = JSON.parse(line) as Message;
  const { [LABELS.instance]: instanceId = '', [LABELS.host]: host = '' } = actor.Attributes;
  return { action, id: actor.ID, instanceId, host, at: BigInt(nanos) };
}
