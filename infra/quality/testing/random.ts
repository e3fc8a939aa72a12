import { Random } from '../chaos/random.ts';

/**
 * Chance as a test plans it: the same in every run. `TEST_SEED` plans another.
 * @param which of several that run side by side
 */
export const plannedRandom = (which = 0): Random => new Random(Number(process.env.TEST_SEED ?? 7) + which);
