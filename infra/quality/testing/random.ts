import { Random } from '../chaos/random.ts';

/**
 * Makes random numbers that are the same in every run; `TEST_SEED` sets the seed.
 * @param which number of the generator, when a test uses several
 */
export const plannedRandom = (which = 0): Random => new Random(Number(process.env.TEST_SEED ?? 7) + which);
