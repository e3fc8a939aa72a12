/** A new id for a job, container or request: 128 random bits; never contains `:` (BullMQ's separator). */
export const newId = (): string => crypto.randomUUID();

const ID = /^[A-Za-z0-9_-]{1,64}$/;
/** What may stand where a job, container or request id is expected. Anything else can't exist: answer `not_found`. */
export const isId = (value: unknown): value is string => typeof value === 'string' && ID.test(value);

const USER_ID = /^[A-Za-z0-9_.:@|-]{1,128}$/;
/** A token's `sub`. Braces and white space are refused: a user id stands inside a Redis hash tag. */
export const isUserId = (value: unknown): value is string => typeof value === 'string' && USER_ID.test(value);
