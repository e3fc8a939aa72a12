/** How a request ended; the label of the gateway's metrics. */
export const OUTCOMES = [
  'ok',
  'redis_error',
  'refused',
  'unauthenticated',
  'too_large',
  'overloaded',
  'unavailable',
  'timeout',
  'internal',
] as const;
export type Outcome = (typeof OUTCOMES)[number];

const STATUS: Record<Exclude<Outcome, 'ok'>, number> = {
  redis_error: 400,
  refused: 400,
  unauthenticated: 401,
  too_large: 413,
  overloaded: 503,
  unavailable: 503,
  timeout: 504,
  internal: 500,
};

/** Why a request or a command has no result. `message` goes to the caller as `{error: message}` and holds no secret. */
export class GatewayError extends Error {
  override name = 'GatewayError';
  readonly outcome: Exclude<Outcome, 'ok'>;
  readonly status: number;

  constructor(outcome: Exclude<Outcome, 'ok'>, message: string, status = STATUS[outcome]) {
    super(message);
    this.outcome = outcome;
    this.status = status;
  }
}
