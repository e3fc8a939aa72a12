import { describe, expect, test } from 'vitest';
import { isAddressRange, isInRanges, limitSubject } from './address.ts';

describe('addresses', () => {
  test.each([
    ['10.1.2.3', '10.0.0.0/8', true],
    ['11.1.2.3', '10.0.0.0/8', false],
    ['127.0.0.1', '127.0.0.1', true],
    ['::ffff:10.1.2.3', '10.0.0.0/8', true],
    ['fd00::1', 'fd00::/8', true],
    ['fe00::1', 'fd00::/8', false],
    ['10.1.2.3', '::/0', false],
    ['[fd00::1]', 'fd00::/8', true],
    ['127.1', '0.0.0.0/0', false],
    ['fe80::1%eth0', '::/0', false],
    ['nonsense', '0.0.0.0/0', false],
  ])('%s in %s: %s', (address, range, inside) => {
    expect(isInRanges(address, [range])).toBe(inside);
  });

  test.each(['10.0.0.0/33', '10.0.0/8', '10.0.0.0/8/8', '10.0.0.0/-1', 'fd00::/129', '', 'all'])(
    '%j is no range',
    (range) => expect(isAddressRange(range)).toBe(false),
  );

  test('addresses of one IPv6 /64 are one subject of limits, and a text that is no address is unknown', () => {
    expect(limitSubject('2001:db8:1:2:3:4:5:6')).toBe(limitSubject('2001:db8:1:2::1'));
    expect(limitSubject('2001:db8:1:3::1')).not.toBe(limitSubject('2001:db8:1:2::1'));
    expect(limitSubject('::ffff:192.0.2.1')).toBe('192.0.2.1');
    expect(limitSubject('} spoof {')).toBe('unknown');
  });
});
