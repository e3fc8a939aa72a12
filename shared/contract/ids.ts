/** A new id for a job, container or request: 128 random bits; never contains `:` (BullMQ's separator). */
export const newId = (): string => crypto.randomUUID();

const ID = /^[A-Za-z0-9_-]{1,64}$/;
/** Does it have the form of a job, container or request id? Any other id can't exist: answer `not_found`. */
export const isId = (value: unknown): value is string => typeof value === 'string' && ID.test(value);

const USER_ID = /^[A-Za-z0-9_.:@|-]{1,128}$/;
/** A token's `sub`. Braces and white space are refused: a user id is part of a Redis hash tag. */
export const isUserId = (value: unknown): value is string => typeof value === 'string' && USER_ID.test(value);
