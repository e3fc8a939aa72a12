import { z } from 'zod';
import { defineJob } from '../command.ts';
import { BackgroundResult, ExecRequest, ProgramResult } from '../programs.ts';

/** Runs a program in a container, as the desktop's user, and publishes its output while it runs. */
export const containerExec = defineJob({
  kind: 'container.exec',
  http: {
    method: 'post',
    path: '/containers/{id}/exec',
    operationId: 'exec',
    summary: 'Run a program in a desktop',
    body: 'The program.',
  },
  lane: () => 'programs',
  input: ExecRequest,
  result: z.union([ProgramResult, BackgroundResult]),
  example: { cmd: ['ls', '-l'], timeoutMs: 10_000 },
  container: 'path',
  requires: ['running'],
  endedMessage: 'The desktop is {state}: start another to run programs in it.',
  keepsInput: true,
  counts: true,
  cancellable: true,
  retryable: true,
  timeoutEndsRun: true,
  onHostLost: 'fails',
  limits: ['user'],
  tool: {
    name: 'exec',
    title: 'Run a program',
    description:
      'Runs a program in a desktop as its user, and waits for its end: `stdout`, `stderr` and `exitCode`. Start one with ' +
      'windows with `background: true`. When it takes longer than 50 s, the jobId is returned: call get_job with it.',
    input: ExecRequest.omit({ webhookUrl: true }),
    hints: { readOnly: false, destructive: true },
    waitMs: 50_000,
  },
});
