/** Whether a proxy stops before it forwards a request, or after that has taken effect and before its answer. */
export type StallPoint = 'before' | 'after';

/** A request at which a proxy stops: its sender gets no answer. */
export type Stall = { reached: Promise<void> };
