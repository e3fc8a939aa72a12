import type { z } from 'zod';
import type { Region, Space } from './action.ts';

/** Pixels. */
export type Size = { width: number; height: number };
/** A pixel of the screen. */
export type Pixel = { x: number; y: number };

const GRID = 1000;

/** A point or region outside of its space. The message names the bounds. */
export class OutsideError extends Error {
  override name = 'OutsideError';
}

/** The size of a space; of the grid, the number of its steps. */
export function sizeOf(space: Space, screen: Size): Size {
  if (space === 'screen') return screen;
  return space === 'grid1000' ? { width: GRID, height: GRID } : space;
}

/**
 * Maps a point of a space to a pixel of the screen, so that corners map to corners: a picture's last column
 * to the screen's last column, and so does 1000 on the grid.
 * @throws OutsideError
 */
export function toPixel(point: Pixel, space: Space, screen: Size): Pixel {
  const { width, height } = sizeOf(space, screen);
  const last = space === 'grid1000' ? 0 : 1;
  const inside = last ? point.x < width && point.y < height : point.x <= width && point.y <= height;
  if (!inside) {
    const most = `x ≤ ${width - last} and y ≤ ${height - last}`;
    throw new OutsideError(
      `the point (${point.x}, ${point.y}) is outside of ${describe(space, screen)}: send ${most}`,
    );
  }
  return {
    x: scaled(point.x, width - last, screen.width - 1),
    y: scaled(point.y, height - last, screen.height - 1),
  };
}

const scaled = (value: number, from: number, to: number): number =>
  from === 0 ? 0 : Math.min(to, Math.round((value * to) / from));

/**
 * Maps a region of a space to the pixels that it touches.
 * @throws OutsideError
 */
export function toPixels(region: z.infer<typeof Region>, space: Space, screen: Size): Pixel & Size {
  const { width, height } = sizeOf(space, screen);
  if (region.x + region.width > width || region.y + region.height > height)
    throw new OutsideError(
      `the region is outside of ${describe(space, screen)}: send one within ${width} × ${height}`,
    );
  const x = Math.floor((region.x * screen.width) / width);
  const y = Math.floor((region.y * screen.height) / height);
  return {
    x,
    y,
    width: Math.max(
      1,
      Math.min(screen.width, Math.ceil(((region.x + region.width) * screen.width) / width)) - x,
    ),
    height: Math.max(
      1,
      Math.min(screen.height, Math.ceil(((region.y + region.height) * screen.height) / height)) - y,
    ),
  };
}

function describe(space: Space, screen: Size): string {
  if (space === 'grid1000') return 'the grid';
  const { width, height } = sizeOf(space, screen);
  return space === 'screen' ? `the screen of ${width} × ${height}` : `the picture of ${width} × ${height}`;
}
