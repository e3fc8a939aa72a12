import { keys } from '@warmwind/shared/keys';
import type { JobData } from '@warmwind/shared/queues';
import { Queue } from 'bullmq';
import { createRestClient } from './client.ts';
import type { RestOptions } from './transport.ts';

/** BullMQ's own queues by name, made when first needed (which must be inside a request) and kept. */
export class Queues {
  readonly #options: RestOptions;
  readonly #queues = new Map<string, Queue<JobData>>();

  constructor(options: RestOptions) {
    this.#options = options;
  }

  get(name: string): Queue<JobData> {
    const known = this.#queues.get(name);
    if (known) return known;
    const created = new Queue<JobData>(name, {
      connection: createRestClient(this.#options),
      prefix: keys.bull(name),
      // Workers write the queue's meta; here it would be a second trip.
      skipMetasUpdate: true,
    });
    this.#queues.set(name, created);
    return created;
  }
}
