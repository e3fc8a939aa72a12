import { measureJobs } from './moves.ts';
import { report } from './report.ts';
import { measureThroughput } from './throughput.ts';

/**
 * Compares the worker runtime with bare BullMQ, and measures how fast jobs are cancelled and requeued.
 */
const ROUNDS = Number(process.env.ROUNDS ?? 5);
const JOBS = Number(process.env.JOBS ?? 3000);
const REQUEUES = Number(process.env.HAND_BACKS ?? 15);
const CANCELS = Number(process.env.CANCELS ?? 40);

const throughput = await measureThroughput({ rounds: ROUNDS, jobs: JOBS });
const moves = await measureJobs({ requeues: REQUEUES, cancels: CANCELS });
const met = [report('throughput', throughput), report('moves', moves)];
process.exit(met.every(Boolean) ? 0 : 1);
