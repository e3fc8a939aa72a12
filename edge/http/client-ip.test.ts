import { describe, expect, test } from 'vitest';
import { clientIp } from './client-ip.ts';

describe('the client address', () => {
  const headers = (values: Record<string, string>) => new Headers(values);

  test('is in CF-Connecting-IP, and X-Forwarded-For is ignored', () => {
    const given = headers({ 'CF-Connecting-IP': '192.0.2.1', 'X-Forwarded-For': '198.51.100.1' });
    expect(clientIp(given, [])).toBe('192.0.2.1');
  });

  test('behind trusted proxies is the last untrusted hop, whatever the earlier hops', () => {
    const given = headers({
      'X-Forwarded-For': '203.0.113.9, 198.51.100.1, 10.0.0.2, 10.0.0.1',
      'CF-Connecting-IP': '1.1.1.1',
    });
    expect(clientIp(given, ['10.0.0.0/8'])).toBe('198.51.100.1');
  });

  test('is unknown without a header', () => {
    expect(clientIp(headers({}), [])).toBe('unknown');
    expect(clientIp(headers({}), ['10.0.0.0/8'])).toBe('unknown');
  });
});
