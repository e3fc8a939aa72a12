import type { Envelope } from '@warmwind/shared/contract/rooms';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { envelopeOf } from '../../infra/quality/testing/events.ts';
import { Answer } from './answer.ts';

const active = envelopeOf('job.active');
const output = (text: string, run = 1) => envelopeOf('job.output', { text }, { run });
const resultOf = (text: string) => ({
  text,
  finishReason: 'stop',
  usage: { inputTokens: 1, outputTokens: 2 },
});
const completed = (text: string) => envelopeOf('job.completed', { result: resultOf(text) });

/** The text of the answer to these events. */
function textOf(...events: Envelope[]): string {
  const answer = new Answer('j', 1);
  return events.map((each) => answer.take(each).text).join('');
}

test('attempts with the same text are one answer, wherever each of them ends and however it is split', () => {
  const text = fc.string({ minLength: 1, maxLength: 30 });
  const ends = fc.array(fc.nat(30), { maxLength: 4 });
  fc.assert(
    fc.property(text, ends, fc.integer({ min: 1, max: 5 }), (answerText, attempts, size) => {
      const endAs = (end: number) => {
        const pieces = [];
        for (let at = 0; at < end; at += size)
          pieces.push(output(answerText.slice(at, Math.min(end, at + size))));
        return [active, ...pieces];
      };
      const events = [...attempts.map((end) => Math.min(end, answerText.length)), answerText.length].flatMap(
        endAs,
      );
      expect(textOf(envelopeOf('job.queued'), ...events, completed(answerText))).toBe(answerText);
    }),
  );
});

test('an attempt with another text ends the answer, whether it is longer or shorter', () => {
  expect(() => textOf(active, output('Once upon'), active, output('On'), output('ly'))).toThrow('differs');
  expect(() => textOf(active, output('Once'), active, output('Once upon'), completed('Once more'))).toThrow(
    'differs',
  );
  expect(() => textOf(active, output('Once upon'), active, completed('Once'))).toThrow('differs');
});

test('the result adds the text that no event carried', () => {
  expect(textOf(active, output('Once '), completed('Once upon a time'))).toBe('Once upon a time');
  expect(textOf(completed('Once'))).toBe('Once');
});

test('after a log was trimmed, text without a position is left to the next attempt or the result', () => {
  const record = { id: 'j', progress: 10, run: 1, attemptsMade: 0, createdAt: new Date().toISOString() };
  const snapshot = envelopeOf('job.snapshot', { ...record, state: 'active' });
  expect(textOf(snapshot, output('a time'), completed('Once upon a time'))).toBe('Once upon a time');
  expect(textOf(active, output('Once'), snapshot, output('a'), active, output('Once upon'))).toBe(
    'Once upon',
  );
  const over = (state: string, more: object) =>
    envelopeOf('job.snapshot', { ...record, state, progress: 100, ...more });
  expect(textOf(over('completed', { result: resultOf('Once') }))).toBe('Once');
  const error = { code: 'model_missing', message: 'No host serves it.', retryable: false };
  expect(() => textOf(over('failed', { error }))).toThrow('No host serves it.');
});

test('events of another run are ignored', () => {
  expect(textOf(active, output('Once'), output('x', 2), output(' upon'))).toBe('Once upon');
});

test.each([
  ['model_missing', 404, 'model_not_found'],
  ['context_exceeded', 400, 'context_length_exceeded'],
  ['model_busy', 429, 'rate_limit_exceeded'],
  ['timed_out', 504, 'timeout'],
  ['stream_idle', 503, 'stream_idle'],
])('a job that failed as %s is a %i %s', (code, status, known) => {
  const failed = envelopeOf('job.failed', { error: { code, message: 'why', retryable: false } });
  const take = () => new Answer('j', 1).take(failed);
  expect(take).toThrow(
    expect.objectContaining({ status, body: { error: expect.objectContaining({ code: known }) } }),
  );
});
