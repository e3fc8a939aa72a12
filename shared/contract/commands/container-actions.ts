import { z } from 'zod';
import { Action, MAX_ACTIONS, ScreenshotRequest, Space } from '../actions/action.ts';
import { ActionsAnswer, withoutPictures } from '../actions/answer.ts';
import { ActionsInput } from '../actions/input.ts';
import { defineCall } from '../command.ts';
import { MODEL_PICTURE_SIDE } from '../tool.ts';

/** Acts on a container's screen by pointer and keyboard. */
export const containerActions = defineCall({
  kind: 'container.actions',
  http: {
    method: 'post',
    path: '/containers/{id}/actions',
    operationId: 'act',
    summary: 'Click, type and look',
    description:
      'Carries out up to 64 actions in order. All of them are checked first: after a 400 nothing has happened. The first action that fails stops the rest. A request that is repeated with its Idempotency-Key gets the same answer for 5 minutes, but an answer above 64 KB without its pictures and with `picturesOmitted`: take a new screenshot.',
  },
  input: ActionsInput,
  example: {
    actions: [
      { type: 'click', x: 640, y: 400 },
      { type: 'type', text: 'Zażółć gęślą jaźń\n' },
      { type: 'key', keys: 'ctrl+s' },
    ],
    space: { width: 1280, height: 800 },
    screenshot: { format: 'jpeg', maxWidth: 1280 },
  },
  output: {
    description: 'What each action did.',
    json: ActionsAnswer,
    example: {
      results: [
        { ok: true, changed: true, damage: { x: 630, y: 390, width: 20, height: 20 }, tookMs: 61 },
        {
          ok: true,
          changed: true,
          damage: { x: 8, y: 40, width: 160, height: 16 },
          delivered: 18,
          tookMs: 80,
        },
        { ok: true, changed: false, tookMs: 12 },
      ],
      settled: 'quiet',
      cursor: { x: 640, y: 400 },
      screen: { width: 1280, height: 800 },
      incarnation: 1,
    },
  },
  requires: ['running'],
  claims: true,
  mode: 'control',
  timeoutMs: 60_000,
  // 8 MB of pictures in base64, and the results. Large pictures are not kept: at 600 calls a minute, those of
  // one user in 5 minutes would be gigabytes.
  maxResultBytes: 12 * 2 ** 20,
  kept: withoutPictures,
  limits: ['containers.actions'],
  tool: {
    name: 'act',
    title: 'Click, type and look',
    description:
      'Acts on a desktop by pointer and keyboard, in order, and returns a picture of the screen at the end. Give the width and ' +
      'height of the picture that you saw as `space`. `changed` is whether the screen was painted after an action.',
    input: z.strictObject({
      actions: z
        .array(Action)
        .min(1)
        .max(MAX_ACTIONS)
        .describe('Carried out in order; the first that fails stops the rest.'),
      space: Space.optional().describe('What points are measured in: the size of the picture that you saw.'),
      screenshot: z
        .union([z.literal(false), ScreenshotRequest])
        .default({ format: 'jpeg', maxWidth: MODEL_PICTURE_SIDE, maxHeight: MODEL_PICTURE_SIDE })
        .describe('Pictures in the answer; one at the end if left out.'),
      settle: ActionsInput.shape.settle,
      control: ActionsInput.shape.control,
    }),
    hints: { readOnly: false, destructive: true },
  },
});
