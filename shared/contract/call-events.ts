import { z } from 'zod';
import type { CallCommand } from './command.ts';
import { containerActions } from './commands/container-actions.ts';
import { Incarnation } from './envelope.ts';

/** An `Idempotency-Key`. */
export const CALL_KEY = /^[\x21-\x7e]{1,255}$/;

/** Makes the event of the socket that sends a call. */
const callEvent = <Input extends z.ZodType, Result extends z.ZodType>(
  summary: string,
  input: Input,
  result: Result,
) => ({
  summary,
  argument: z.strictObject({
    containerId: z.string().max(64).describe('Id of the container.'),
    incarnation: Incarnation.optional().describe(
      'Refused when the container has another incarnation by now.',
    ),
    idempotencyKey: z
      .string()
      .regex(CALL_KEY, 'use 1-255 visible ASCII characters')
      .optional()
      .describe(
        'The same key and input is carried out once and answered the same for 5 minutes; an answer above 64 KB without its pictures.',
      ),
    input,
  }),
  answer: z.object({
    incarnation: Incarnation.describe('The incarnation of the container that answered.'),
    replayed: z.boolean().describe('The key was used before: this is the result of that call.'),
    result,
  }),
});

/** The events of the socket that send calls to the host of a container: see `CLIENT_EVENTS`. */
export const CALL_CLIENT_EVENTS = {
  'container:actions': callEvent(
    'Carries out actions on a container, as `POST /containers/{id}/actions` does; pictures are binary.',
    containerActions.input,
    containerActions.output.json,
  ),
} as const;

/** The calls that clients send by events, by the event's name. */
export const CALLS_BY_EVENT: Readonly<Record<keyof typeof CALL_CLIENT_EVENTS, CallCommand>> = {
  'container:actions': containerActions,
};
