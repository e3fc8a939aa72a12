import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startTestEdge, type TestEdge } from '../../infra/local/edge/testing.ts';
import { RequestThrottle } from './request-throttle.ts';

describe('RequestThrottle', () => {
  test('lets a burst pass, spreads the requests beyond it, and lets other subjects pass meanwhile', async () => {
    const throttle = new RequestThrottle({ perSecond: 20, burst: 5 });
    const order: string[] = [];
    const ask = async (subject: string) => {
      expect(await throttle.wait(subject)).toBe(true);
      order.push(subject);
    };
    const all = [...Array.from({ length: 10 }, () => ask('ada')), ask('bea')];
    await Promise.all(all);
    expect(order.indexOf('bea')).toBe(5);
    expect(order).toHaveLength(11);
  });

  test('lets a bounded number wait', async () => {
    const throttle = new RequestThrottle({ perSecond: 1, burst: 1 });
    // More than may begin to wait within two seconds.
    const waited = await Promise.all(Array.from({ length: 2500 }, () => throttle.wait('ada')));
    expect(waited.filter((one) => !one).length).toBeGreaterThanOrEqual(499);
    expect(await throttle.wait('bea')).toBe(true);
  });
});

describe('public files', () => {
  let edge: TestEdge;
  beforeAll(async () => {
    edge = await startTestEdge();
  });
  afterAll(() => edge?.stop());

  const paths = ['/openapi.json', '/asyncapi.json', '/docs', '/', '/console.js', '/robots.txt'];
  test.each([...paths.entries()])(
    '%i, %s: the last of a flood from one address waits for its turn, and other addresses are answered',
    async (n, path) => {
      const ask = async (address: string) => {
        const headers = { 'CF-Connecting-IP': address };
        const answer = await fetch(`${edge.url}${path}`, { headers, signal: AbortSignal.timeout(20_000) });
        await answer.arrayBuffer();
        return answer.status;
      };
      expect(await ask('203.0.113.8')).toBe(200);
      const begun = performance.now();
      const flood = Promise.all(Array.from({ length: 120 }, () => ask(`198.51.100.${n}`)));
      expect(await ask('203.0.113.9')).toBe(200);
      expect(new Set(await flood)).toEqual(new Set([200]));
      // A lower bound: it holds on a busy machine too.
      expect(performance.now() - begun).toBeGreaterThan(900);
    },
  );
});
