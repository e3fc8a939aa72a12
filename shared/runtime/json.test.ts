import { expect, test } from 'vitest';
import { ZodError } from 'zod';
import { JobError, jobFromRecord } from '../contract/jobs.ts';
import { isRecordFault } from '../engine/node/record-fault.ts';
import { parseJson } from './json.ts';

const error = { code: 'failed', message: 'The image is unknown.', retryable: false };
const record = { id: 'j', kind: 'container.start', state: 'failed', createdAt: '0' };

test('JSON of another shape is refused, and so is text that is no JSON', () => {
  expect(parseJson(JobError, JSON.stringify(error))).toEqual(error);
  expect(() => parseJson(JobError, '{"code":7}')).toThrow(ZodError);
  expect(() => parseJson(JobError, '{')).toThrow(SyntaxError);
});

test('JSON of another shape in a record is a fault of that record', () => {
  expect(jobFromRecord({ ...record, error: JSON.stringify(error) })?.error).toEqual(error);
  const faults = ['"boom"', '{', '{"code":7}'].map((text) => {
    try {
      return jobFromRecord({ ...record, error: text });
    } catch (thrown) {
      return isRecordFault(thrown);
    }
  });
  expect(faults).toEqual([true, true, true]);
});
