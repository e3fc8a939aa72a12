import { expect, test } from 'vitest';
import { parseSpec } from '../containers/spec.ts';
import { misfit, pooledSpec } from './fit.ts';
import { sizesByImage, WarmPoolSizes } from './sizes.ts';

const IMAGE = 'warmwind/desktop:latest';
const spec = (fields: object) => parseSpec(JSON.stringify({ image: IMAGE, ...fields }));

test.each([
  ['nothing', {}, undefined],
  ['a size', { width: 640, height: 480 }, undefined],
  ['memory and CPUs', { memoryMb: 2048, cpus: 2 }, undefined],
  ['times', { ttlSeconds: 60, idleSeconds: 30 }, undefined],
  ['a variable', { env: { A: '1' } }, 'env'],
  ['a network', { network: 'egress' }, 'network'],
  ['another image', { image: 'other:1' }, 'image'],
])('a start that asks for %s is cold because of %s', (_, fields, field) => {
  expect(misfit(spec(fields), pooledSpec(IMAGE))).toBe(field);
});

test('a field that the pool does not know makes a start cold, whatever it is', () => {
  const later = { ...spec({}), invented: true } as ReturnType<typeof spec>;
  expect(misfit(later, pooledSpec(IMAGE))).toBe('invented');
});

test('sizes are kept by Docker image, and names without an instance are left out', () => {
  const images = { desktop: 'a:1', other: 'a:1', third: 'b:1' };
  expect([...sizesByImage({ desktop: 1, other: 2, third: 0 }, images)]).toEqual([['a:1', 3]]);
});

test.each(['{"desktop":-1}', '{"desktop":1.5}', '{"desktop":101}', '{"Desk Top":1}', '[]', 'two'])(
  'the setting %s is refused',
  (text) => {
    expect(WarmPoolSizes.safeParse(text).success).toBe(false);
  },
);
