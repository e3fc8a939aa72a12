/**
 * The time at which a change of a record was made.
 * @param seq of the change, `<ms>-<n>`; '' when it has none
 * @returns the time in `seq`; the present time without one
 */
export const timeOfSeq = (seq: string): Date =>
  seq === '' ? new Date() : new Date(Number.parseInt(seq, 10));
