import { describe, expect, test } from 'vitest';
import { isAddressRange, isInRanges, limitSubject } from './address.ts';
import { clientIp } from './client-ip.ts';

describe('addresses', () => {
  test.each([
    ['10.1.2.3', '10.0.0.0/8', true],
    ['11.1.2.3', '10.0.0.0/8', false],
    ['127.0.0.1', '127.0.0.1', true],
    ['::ffff:10.1.2.3', '10.0.0.0/8', true],
    ['fd00::1', 'fd00::/8', true],
    ['fe00::1', 'fd00::/8', false],
    ['10.1.2.3', '::/0', false],
    ['nonsense', '0.0.0.0/0', false],
  ])('%s in %s: %s', (address, range, inside) => {
    expect(isInRanges(address, [range])).toBe(inside);
  });

  test.each(['10.0.0.0/33', '10.0.0/8', '10.0.0.0/8/8', '10.0.0.0/-1', 'fd00::/129', '', 'all'])(
    '%j is no range',
    (range) => expect(isAddressRange(range)).toBe(false),
  );

  test('an IPv6 client is limited by its /64, so that it has no more addresses than an IPv4 one', () => {
    expect(limitSubject('2001:db8:1:2:3:4:5:6')).toBe(limitSubject('2001:db8:1:2::1'));
    expect(limitSubject('2001:db8:1:3::1')).not.toBe(limitSubject('2001:db8:1:2::1'));
    expect(limitSubject('::ffff:192.0.2.1')).toBe('192.0.2.1');
    expect(limitSubject('} spoof {')).toBe('unknown');
  });
});

describe('the client address', () => {
  const headers = (values: Record<string, string>) => new Headers(values);

  test('is what the platform says, not what a client forwards', () => {
    const given = headers({ 'CF-Connecting-IP': '192.0.2.1', 'X-Forwarded-For': '198.51.100.1' });
    expect(clientIp(given, [])).toBe('192.0.2.1');
  });

  test('behind trusted proxies is the last hop that is none of them, whatever stands before it', () => {
    const given = headers({
      'X-Forwarded-For': '203.0.113.9, 198.51.100.1, 10.0.0.2, 10.0.0.1',
      'CF-Connecting-IP': '1.1.1.1',
    });
    expect(clientIp(given, ['10.0.0.0/8'])).toBe('198.51.100.1');
  });

  test('is unknown when nobody says it', () => {
    expect(clientIp(headers({}), [])).toBe('unknown');
    expect(clientIp(headers({}), ['10.0.0.0/8'])).toBe('unknown');
  });
});
