/**
 * `npm run smoke -- --edge https://api.example.com --token <API token>`: walks the main trace against a
 * deployed stage, the local stack or any other edge; the first thing to run after `sst deploy`.
 * `WARMWIND_TOKEN` may hold the token instead, which no list of processes shows. With
 * `UPSTASH_REDIS_REST_URL` and `UPSTASH_REDIS_REST_TOKEN` it also checks the Redis behind the edge directly.
 * Exits 1 when a check fails.
 */
import { parseArgs } from 'node:util';
import { NetworkError } from '@warmwind/shared/client/http-errors';
import { tokenProblem, unreachable } from './advice.ts';
import { clientOf, routesOf } from './edge.ts';
import { restChecks } from './rest.ts';
import { type Check, mainTrace } from './trace.ts';

const { values } = parseArgs({ options: { edge: { type: 'string' }, token: { type: 'string' } } });
const url = values.edge ?? process.env.WARMWIND_EDGE;
const token = values.token ?? process.env.WARMWIND_TOKEN;
if (!url || !token || !URL.canParse(url)) {
  console.error(
    'usage: npm run smoke -- --edge <URL> --token <API token>, or WARMWIND_EDGE and WARMWIND_TOKEN',
  );
  process.exit(2);
}

const problem = tokenProblem(token);
if (problem) {
  console.error(problem);
  process.exit(2);
}

const edge = clientOf(url, token);
let routes: Set<string> | undefined;
const { UPSTASH_REDIS_REST_URL: restUrl, UPSTASH_REDIS_REST_TOKEN: restToken } = process.env;
const trace = mainTrace(url, edge);
const rest = restUrl && restToken ? restChecks(restUrl, restToken) : undefined;

let failed = 0;
try {
  for (const check of [...(rest?.checks ?? []), ...trace.checks]) {
    if (await passes(check)) continue;
    failed++;
    // Later checks depend on it.
    if (trace.checks.includes(check)) break;
  }
} finally {
  await Promise.all([trace.clean(), rest?.clean()]);
}
console.log(failed === 0 ? 'all checks passed' : 'failed');
process.exit(failed === 0 ? 0 : 1);

async function passes({ what, needs, run }: Check): Promise<boolean> {
  const since = performance.now();
  try {
    if (needs) routes ??= await routesOf(edge);
    if (needs && !routes?.has(needs)) {
      console.log(`left out  ${what}: this edge has no ${needs}`);
      return true;
    }
    const detail = await run();
    const ms = `${Math.round(performance.now() - since)} ms`;
    console.log(`ok        ${what} (${[ms, detail].filter(Boolean).join(', ')})`);
    return true;
  } catch (error) {
    console.log(`FAILED    ${what}: ${reasonOf(error)}`);
    return false;
  }
}

function reasonOf(error: unknown): string {
  if (error instanceof NetworkError) return unreachable(url ?? '', error.cause ?? error);
  return error instanceof Error ? error.message : String(error);
}
