import { z } from 'zod';
import { ClipboardText } from '../clipboard.ts';
import { defineCall } from '../command.ts';

/** Reads the text on the clipboard of a container. */
export const containerReadClipboard = defineCall({
  kind: 'container.read-clipboard',
  http: {
    method: 'get',
    path: '/containers/{id}/clipboard',
    operationId: 'readClipboard',
    summary: 'Read the clipboard of a desktop',
    description:
      'The text that a program in the desktop, a viewer or a request copied last. More than 262,144 characters are answered 409.',
  },
  input: z.strictObject({}),
  example: {},
  output: { description: 'The text.', json: ClipboardText, example: { text: 'Grüße 👋' } },
  requires: ['running'],
  claims: false,
  mode: 'control',
  timeoutMs: 10_000,
  // A character takes up to six bytes as JSON.
  maxResultBytes: 2 * 2 ** 20,
  limits: ['user'],
  tool: {
    name: 'read_clipboard',
    title: 'Read the clipboard',
    description: "Reads the text on a desktop's clipboard, as the last copy left it.",
    hints: { readOnly: true, idempotent: true },
  },
});
