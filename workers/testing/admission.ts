import { Reservations } from '@warmwind/shared/engine/node/reservations';
import { WaitingStarts } from '@warmwind/shared/engine/node/waiting-starts';
import { createLog } from '@warmwind/shared/runtime/node/log';
import { startRedis } from '../../infra/quality/testing/redis.ts';
import { Admission } from '../containers/admission.ts';
import type { Engine } from '../containers/engine.ts';
import { Offer } from '../placement/offer.ts';

/** The admission of host `a` with 4000 MB and these GPUs, on a Redis of its own. */
export async function startAdmission(engine: Engine, gpuIds: () => string[] | undefined) {
  const redis = await startRedis();
  const log = createLog('test');
  log.level = 'silent';
  const capacity = { memoryMb: 4000, cpus: 8, diskMb: 0, containers: 10 };
  const reservations = new Reservations(redis.client);
  const waiting = new WaitingStarts(redis.client);
  const offer = new Offer({ engine, capacity, gpuIds, version: '1', log });
  const client = redis.client;
  const options = { engine, redis: client, reservations, waiting, offer, host: 'a', waitMs: 60_000, log };
  return { redis, reservations, waiting, admission: new Admission(options) };
}
