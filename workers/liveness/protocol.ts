import { z } from 'zod';

/** A worker process as its peers know it, by its boot id. */
export const ProcessRecord = z.object({
  host: z.string(),
  /** The queues that it serves, and how many deaths of workers a job of each survives. */
  queues: z.record(z.string(), z.number().int().min(0)),
});
export type ProcessRecord = z.infer<typeof ProcessRecord>;

/** The data with which the thread starts. `record`: a `ProcessRecord` as JSON. */
export type ThreadData = {
  url: string;
  boot: string;
  record: string;
  deadAfterMs: number;
  buffer: SharedArrayBuffer;
  logLevel: string;
};

/** From the thread: peers declared this process dead or it beats again; boot ids of overdue processes. */
export type FromThread = { type: 'dead' } | { type: 'alive' } | { type: 'overdue'; boots: string[] };
/** To the thread: beat again although a peer declared this process dead; stop. */
export type ToThread = { type: 'revive' } | { type: 'stop' };
