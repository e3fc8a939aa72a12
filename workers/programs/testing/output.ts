import type { StoredEvent } from '@warmwind/shared/contract/events';
import type { OutputStream } from '@warmwind/shared/engine/node/records';
import { expect } from 'vitest';

/** The bytes of a stream in the events of a job. Fails when one is missing or there twice. */
export function outputOf(events: StoredEvent[], stream: OutputStream): Buffer {
  let end = 0;
  const parts = events.flatMap(({ type, data }) => {
    if (type !== 'job.output' || !('stream' in data) || data.stream !== stream) return [];
    expect(data.offset).toBe(end);
    const bytes = 'text' in data ? Buffer.from(data.text) : Buffer.from(data.base64, 'base64');
    end += bytes.length;
    return [bytes];
  });
  return Buffer.concat(parts);
}
