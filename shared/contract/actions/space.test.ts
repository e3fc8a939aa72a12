import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type Size, toPixel, toPixels } from './space.ts';

const side = fc.integer({ min: 2, max: 4000 });
const size = fc.record({ width: side, height: side });

test('the corners of a picture and of the grid map to the corners of the screen', () => {
  fc.assert(
    fc.property(size, size, (space, screen) => {
      const last = { x: screen.width - 1, y: screen.height - 1 };
      expect(toPixel({ x: 0, y: 0 }, space, screen)).toEqual({ x: 0, y: 0 });
      expect(toPixel({ x: space.width - 1, y: space.height - 1 }, space, screen)).toEqual(last);
      expect(toPixel({ x: 1000, y: 1000 }, 'grid1000', screen)).toEqual(last);
      expect(toPixel({ x: 0, y: 1000 }, 'grid1000', screen)).toEqual({ x: 0, y: last.y });
    }),
  );
});

test('every point of a space is on the screen, and a larger one is not further left', () => {
  const x = fc.double({ min: 0, max: 1, noNaN: true });
  fc.assert(
    fc.property(size, size, x, x, (space, screen, a, b) => {
      const at = (part: number) => toPixel({ x: part * (space.width - 1), y: 0 }, space, screen).x;
      const [left, right] = [Math.min(a, b), Math.max(a, b)].map(at) as [number, number];
      expect(left).toBeGreaterThanOrEqual(0);
      expect(right).toBeLessThan(screen.width);
      expect(left).toBeLessThanOrEqual(right);
    }),
  );
});

test('a point of the screen is itself', () => {
  fc.assert(
    fc.property(size, fc.nat(3999), fc.nat(3999), (screen, x, y) => {
      const point = { x: x % screen.width, y: y % screen.height };
      expect(toPixel(point, 'screen', screen)).toEqual(point);
    }),
  );
});

const SCREEN: Size = { width: 1280, height: 800 };
test.each([
  [{ x: 1280, y: 0 }, 'screen', 'outside of the screen of 1280 × 800'],
  [{ x: 0, y: 600 }, { width: 800, height: 600 }, 'outside of the picture of 800 × 600'],
  [{ x: 1001, y: 0 }, 'grid1000', 'outside of the grid'],
] as const)('the point %j of %j is refused', (point, space, message) => {
  expect(() => toPixel(point, space, SCREEN)).toThrow(message);
});

test('a region covers the pixels that it touches', () => {
  const picture = { width: 640, height: 400 };
  expect(toPixels({ x: 0, y: 0, width: 640, height: 400 }, picture, SCREEN)).toEqual({
    x: 0,
    y: 0,
    ...SCREEN,
  });
  expect(toPixels({ x: 10, y: 20, width: 5, height: 5 }, picture, SCREEN)).toEqual({
    x: 20,
    y: 40,
    width: 10,
    height: 10,
  });
  expect(toPixels({ x: 0, y: 0, width: 1000, height: 1000 }, 'grid1000', SCREEN)).toEqual({
    x: 0,
    y: 0,
    ...SCREEN,
  });
  expect(() => toPixels({ x: 1, y: 0, width: 640, height: 1 }, picture, SCREEN)).toThrow('outside');
});
