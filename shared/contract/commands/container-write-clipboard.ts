import { ClipboardWrite, ClipboardWritten } from '../clipboard.ts';
import { defineCall } from '../command.ts';

/** Puts a text on the clipboard of a container. */
export const containerWriteClipboard = defineCall({
  kind: 'container.write-clipboard',
  http: {
    method: 'put',
    path: '/containers/{id}/clipboard',
    operationId: 'writeClipboard',
    summary: 'Put a text on the clipboard of a desktop',
    description:
      'Programs can paste it once this is answered, until another text is copied. It needs no control of the screen.',
  },
  input: ClipboardWrite,
  example: { text: 'Grüße 👋' },
  output: { description: 'It is on the clipboard.', json: ClipboardWritten, example: { bytes: 12 } },
  requires: ['running'],
  claims: true,
  mode: 'control',
  timeoutMs: 10_000,
  maxResultBytes: 1024,
  limits: ['user'],
  tool: {
    name: 'write_clipboard',
    title: 'Put a text on the clipboard',
    description: "Puts a text on a desktop's clipboard. Paste it with a key of the program, such as ctrl+v.",
    hints: { readOnly: false, destructive: true, idempotent: true },
  },
});
