import { z } from 'zod';
import { defineCall } from '../command.ts';
import { SIZES } from '../screen.ts';
import { MODEL_PICTURE_SIDE } from '../tool.ts';

const FORMATS = ['png', 'jpeg', 'webp'] as const;
/** The longest wait for a change, s, and the time for the picture itself, ms. */
const MAX_WAIT_S = 10;
const PICTURE_MS = 2000;

const Region = z
  .string()
  .regex(/^\d{1,4},\d{1,4},[1-9]\d{0,3},[1-9]\d{0,3}$/, 'send x,y,width,height in pixels of the screen');
const size = (most: number) => z.coerce.number<number>().int().min(16).max(most).optional();

const side = (name: string) =>
  z
    .number()
    .int()
    .min(16)
    .max(MODEL_PICTURE_SIDE)
    .default(MODEL_PICTURE_SIDE)
    .describe(`How ${name} the picture is at most, pixels.`);

const Input = z.strictObject({
  format: z.enum(FORMATS).default('png'),
  quality: z.coerce
    .number<number>()
    .int()
    .min(1)
    .max(100)
    .optional()
    .describe('Of `jpeg` (85 if left out) and `webp` (80).'),
  maxWidth: size(SIZES.most.width).describe(
    'Shrinks the picture, in proportion, to at most this width, pixels.',
  ),
  maxHeight: size(SIZES.most.height).describe(
    'Shrinks the picture, in proportion, to at most this height, pixels.',
  ),
  region: Region.optional().describe('`x,y,width,height`: the part of the screen to show, pixels.'),
  cursor: z.enum(['true', 'false']).optional().describe('`true` shows the pointer.'),
  changedSince: z
    .string()
    .regex(/^[\w-]{1,64}$/, 'send the ETag of a picture, without its quotes')
    .optional()
    .describe('The ETag of an earlier picture, without its quotes: 304 if the screen still shows that.'),
  wait: z.coerce
    .number<number>()
    .int()
    .min(0)
    .max(MAX_WAIT_S)
    .optional()
    .describe('With `changedSince`: how long to wait for a change, seconds.'),
});

/** Takes a picture of a container's screen. */
export const containerScreenshot = defineCall({
  kind: 'container.screenshot',
  http: {
    method: 'get',
    path: '/containers/{id}/screenshot',
    operationId: 'screenshot',
    summary: 'Take a screenshot of a desktop',
    description:
      'The first request opens the screen on its host, which keeps it open for some seconds: requests that follow are faster.',
  },
  input: Input,
  example: { format: 'jpeg', maxWidth: 1024 },
  output: {
    description: 'The picture.',
    media: ['image/png', 'image/jpeg', 'image/webp'],
    headers: {
      ETag: 'The frame that the picture shows: for `changedSince`.',
      'X-Picture-Width': 'How wide the picture is, pixels.',
      'X-Picture-Height': 'How high the picture is, pixels.',
      'X-Screen-Width': 'How wide the screen is, pixels.',
      'X-Screen-Height': 'How high the screen is, pixels.',
    },
    notModified: 'The screen still shows the frame of `changedSince`.',
  },
  requires: ['running'],
  claims: false,
  waits: ({ changedSince, wait }) => changedSince !== undefined && wait !== undefined && wait > 0,
  mode: 'view',
  timeoutMs: MAX_WAIT_S * 1000 + PICTURE_MS,
  // An image of noise in the largest size that a screen can have is as large as its pixels.
  maxResultBytes: 32 * 2 ** 20,
  limits: ['user'],
  tool: {
    name: 'screenshot',
    title: 'Take a screenshot',
    description:
      "Takes a picture of a desktop's screen, at most 1568 pixels a side. Points in it are pixels of the picture: give its " +
      'width and height as `space` to act.',
    input: Input.pick({ quality: true, region: true, cursor: true }).extend({
      format: z.enum(FORMATS).default('jpeg').describe('Format of the picture.'),
      maxWidth: side('wide'),
      maxHeight: side('high'),
    }),
    hints: { readOnly: true },
  },
});
