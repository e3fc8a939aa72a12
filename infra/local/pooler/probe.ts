/** `node probe.ts` in the pooler's container: exits 0 when the pooler answers in time. */
import { poolerAnswers } from './answers.ts';

process.exit((await poolerAnswers(Number(process.env.PORT))) ? 0 : 1);
