import { z } from 'zod';
import { defineCall } from '../command.ts';

const FORMATS = ['png', 'jpeg'] as const;
export type ScreenshotFormat = (typeof FORMATS)[number];

/** Takes a picture of a container's screen. */
export const containerScreenshot = defineCall({
  kind: 'container.screenshot',
  http: {
    method: 'get',
    path: '/containers/{id}/screenshot',
    operationId: 'screenshot',
    summary: 'Take a screenshot of a desktop',
  },
  input: z.strictObject({ format: z.enum(FORMATS).default('png') }),
  example: { format: 'jpeg' },
  output: {
    description: 'The picture.',
    media: ['image/png', 'image/jpeg'],
    headers: {
      'X-Screen-Width': 'How wide the screen is, pixels.',
      'X-Screen-Height': 'How high the screen is, pixels.',
    },
  },
  requires: ['running'],
  claims: false,
  mode: 'view',
  timeoutMs: 10_000,
  // An image of noise in the largest size that a screen can have is as large as its pixels.
  maxResultBytes: 32 * 2 ** 20,
  limits: ['user'],
  tool: {
    name: 'screenshot',
    title: 'Take a screenshot',
    description: "Takes a picture of a desktop's screen.",
    input: z.strictObject({ format: z.enum(FORMATS).default('jpeg').describe('Format of the picture.') }),
    hints: { readOnly: true },
  },
});
