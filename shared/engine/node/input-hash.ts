import { createHash } from 'node:crypto';

/** The `inputHash` of an envelope: SHA-256 of an input, given as the JSON that is sent. */
export const hashInput = (json: string): string => createHash('sha256').update(json).digest('hex');
