import type { z } from 'zod';
import { Variables as Edge } from '../../edge/config.ts';
import { Config as Relay } from '../../relay/config.ts';
import { Config as Worker } from '../../workers/config.ts';
import { PoolerAddress } from '../local/edge/hyperdrive.ts';
import { Config as Gateway } from '../local/gateway/config.ts';
import { Config as Pooler } from '../local/pooler/settings.ts';
import type { Service } from './build.ts';

type Shape = Record<string, z.core.$ZodType>;

/** Settings that shared code and Node itself read in every Node process. */
const OF_ALL = ['BIND', 'PORT', 'LOG_LEVEL', 'SHUTDOWN_TIMEOUT_MS', 'HEALTH_HEAP_MB'];

/** infra/local/edge/main.ts takes URLs and makes the Worker's bindings of them. */
const { LEDGER_DB: LEDGER_URL, LEDGER_READ_DB: LEDGER_READ_URL, ...ofTheWorker } = Edge.shape;

const SHAPES: Record<Service, Shape> = {
  edge: { ...ofTheWorker, LEDGER_URL, LEDGER_READ_URL, LEDGER_POOLER: PoolerAddress },
  relay: Relay.shape,
  worker: Worker.shape,
  gateway: Gateway.shape,
  pooler: Pooler.shape,
};

/** A setting that only a deployment can give: a secret, an address, or a feature that is off by default. */
const hasNoDefault = (schema: z.core.$ZodType): boolean => {
  const result = schema['~standard'].validate(undefined);
  return !('value' in result) || result.value === undefined;
};

/**
 * Checks the variables that a deployment gives to a service: those that the service does not read, and those
 * without a default that are missing.
 * @param leftOut variables without a default that this deployment omits
 * @returns a line for each problem
 */
export function misplaced(service: Service, given: string[], leftOut: string[] = []): string[] {
  const shape = SHAPES[service];
  const known = new Set([...Object.keys(shape), ...OF_ALL]);
  const needed = Object.keys(shape).filter((name) => shape[name] && hasNoDefault(shape[name]));
  return [
    ...given.filter((name) => !known.has(name)).map((name) => `${service} does not read ${name}`),
    ...needed
      .filter((name) => !given.includes(name) && !leftOut.includes(name))
      .map((name) => `${service} is not given ${name}`),
    ...leftOut
      .filter((name) => given.includes(name) || !needed.includes(name))
      .map((name) => `${service} needs no exception for ${name}`),
  ];
}
