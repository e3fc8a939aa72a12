/**
 * When a change of a record was made.
 * @param seq of the change, `<ms>-<n>`; '' when it has none
 * @returns the time in `seq`; now without one
 */
export const timeOfSeq = (seq: string): Date =>
  seq === '' ? new Date() : new Date(Number.parseInt(seq, 10));
