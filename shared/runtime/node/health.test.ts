import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { Registry } from 'prom-client';
import { expect, test } from 'vitest';
import { probeRoutes } from './health.ts';

/** The event-loop delay (99th percentile) that a separate, idle process reports after running `what`. */
async function p99Ms(what: string): Promise<number> {
  const program = `
    import { setTimeout as sleep } from 'node:timers/promises';
    import { liveChecks } from '${new URL('health.ts', import.meta.url)}';
    const { eventLoop } = liveChecks();
    ${what}
    console.log(await eventLoop().then(({ p99Ms }) => p99Ms, ({ message }) => /\\d+/.exec(message)[0]));
    process.exit();`;
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', program]);
  return Number(stdout);
}

test('an idle process is alive: waiting is no lag of its event loop', async () => {
  expect(await p99Ms('await sleep(1500); await sleep(300);')).toBeLessThan(1000);
});

test('a process whose loop is blocked is not alive', async () => {
  const block = 'const until = performance.now() + 1500; while (performance.now() < until);';
  expect(await p99Ms(`await sleep(300); ${block} await sleep(300);`)).toBeGreaterThan(1000);
});

test('concurrent probes share one run of each check', async () => {
  let asked = 0;
  let finish = () => {};
  const slow = async () => {
    asked += 1;
    await new Promise<void>((resolve) => {
      finish = resolve;
    });
    return {};
  };
  const app = probeRoutes({ live: {}, ready: { slow }, registry: new Registry() }, () => false);
  const answers = Array.from({ length: 50 }, () => app.request('/health/ready'));
  finish();
  expect(new Set((await Promise.all(answers)).map(({ status }) => status))).toEqual(new Set([200]));
  expect(asked).toBe(1);
});
