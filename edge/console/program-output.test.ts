import { expect, test } from 'vitest';
import { envelopeOf } from '../../infra/quality/testing/events.ts';
import { NO_OUTPUT, withOutput } from './program-output.ts';

const part = (data: object) => envelopeOf('job.output', { attempt: 1, offset: 0, ...data });

test('text is joined, other bytes are counted, and the end of the program is shown', () => {
  const events = [
    part({ stream: 'stdout', text: 'one\n' }),
    part({ stream: 'stderr', text: undefined, base64: '//8=' }),
    part({ stream: 'stdout', text: 'two' }),
  ];
  expect(events.reduce(withOutput, NO_OUTPUT)).toEqual({ text: 'one\n[2 bytes]\ntwo', isIncomplete: false });
  const end = (result: object) => withOutput(NO_OUTPUT, envelopeOf('job.completed', { result })).end;
  expect(end({ exitCode: 3 })).toBe('exit code 3');
  expect(end({ exitCode: null, signal: 'SIGKILL' })).toBe('ended by SIGKILL');
  expect(end({ processId: 'p' })).toBe('runs in the background');
});

test('only the last characters are kept, and what is missing is marked', () => {
  const long = part({ stream: 'stdout', text: 'x'.repeat(60_000) });
  const { text, isIncomplete } = [long, long].reduce(withOutput, NO_OUTPUT);
  expect([text.length, isIncomplete]).toEqual([65_536, true]);
});
