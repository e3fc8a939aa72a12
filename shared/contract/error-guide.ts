import type { ErrorCode } from './errors.ts';

/** The explanation of an error code for clients. */
type Guide = {
  /** Whether the same request may succeed later without a change. */
  retryable: boolean;
  meaning: string;
  remedy: string;
};

/** Every error code of the HTTP contract, explained for the reference. */
export const ERROR_GUIDE: Record<ErrorCode, Guide> = {
  bad_request: {
    retryable: false,
    meaning: 'The path, query, headers or body are invalid; `issues` names each place.',
    remedy: 'Correct what `issues` names.',
  },
  unauthenticated: {
    retryable: false,
    meaning: 'The token is missing, expired, revoked or not signed by a known secret.',
    remedy: 'Send a valid token as `Authorization: Bearer <token>`.',
  },
  forbidden: {
    retryable: false,
    meaning: 'The token is valid but does not permit this.',
    remedy: 'Use a token or ticket of the owner, or one with the required mode.',
  },
  admin_required: {
    retryable: false,
    meaning: 'The route is for administrators, and the token has not their role.',
    remedy: 'Use a token with the claim `role: "admin"`.',
  },
  not_found: {
    retryable: false,
    meaning: 'There is no such resource, or it belongs to another user.',
    remedy: 'Check the id; lists show what the caller owns.',
  },
  method_not_allowed: {
    retryable: false,
    meaning: 'The path exists, but not with this method.',
    remedy: 'Use a method that the `Allow` header names.',
  },
  request_timeout: {
    retryable: true,
    meaning: 'The body was not complete within 20 s.',
    remedy: 'Send the request again.',
  },
  conflict: {
    retryable: false,
    meaning: 'The state of the resource does not permit this, or the key was used for another request.',
    remedy: 'Read the resource, then decide; use a new `Idempotency-Key` for another request.',
  },
  gone_incarnation: {
    retryable: false,
    meaning:
      'The request was made for another incarnation of the desktop: it has been placed on a host since.',
    remedy: 'Read the desktop again and look at it, then send its `incarnation` as `If-Match`.',
  },
  control_held: {
    retryable: false,
    meaning: 'A person holds control of the desktop, or has taken it in the middle of the call.',
    remedy: 'Wait until they release control, or send `control: "take"`.',
  },
  paused: {
    retryable: false,
    meaning: 'A request has paused the desktop: all its programs are frozen.',
    remedy: 'Resume it by `POST /containers/{id}/resume`, then send the request again.',
  },
  payload_too_large: {
    retryable: false,
    meaning: 'The body is larger than the route permits.',
    remedy: 'Send less: 256 KB, 1.5 MB with an image, or 64 MB as a file.',
  },
  unsupported_media_type: {
    retryable: false,
    meaning: 'The body is not JSON in UTF-8, or is compressed.',
    remedy: 'Send `Content-Type: application/json` without `Content-Encoding`.',
  },
  rate_limited: {
    retryable: true,
    meaning: 'A rate limit is used up; nothing was consumed.',
    remedy: 'Wait for `Retry-After`, then send the request again.',
  },
  quota_exceeded: {
    retryable: true,
    meaning: 'The user has as much outstanding work as the quota permits; see `limit` and `used`.',
    remedy: 'Wait until a job ends, or stop a desktop.',
  },
  busy: {
    retryable: true,
    meaning: "The desktop's queue of calls is full.",
    remedy: 'Wait for the answers to earlier calls, then send the call again.',
  },
  internal: {
    retryable: true,
    meaning: 'The service failed unexpectedly.',
    remedy: 'Retry; if it persists, report `requestId`.',
  },
  unavailable: {
    retryable: true,
    meaning: 'A store, queue or relay does not answer. On a submission the outcome is unknown.',
    remedy: 'Retry with the same `Idempotency-Key`, and it runs once; without one, read `GET /jobs` first.',
  },
  upstream_timeout: {
    retryable: true,
    meaning: 'The host of the desktop did not answer in time.',
    remedy: 'Retry.',
  },
  insufficient_storage: {
    retryable: false,
    meaning: 'The home of the desktop is full; nothing was written.',
    remedy: 'Delete files of the desktop, then send the request again.',
  },
  outcome_unknown: {
    retryable: true,
    meaning: 'A call with effects was begun, or may have been, and its answer is lost.',
    remedy:
      'Look at the desktop first. For 5 minutes the same `Idempotency-Key` never carries the call out again: it is answered with the outcome, or with this code while that is unknown. Without a key of your own, or later, send it again only if the desktop shows that it was not carried out.',
  },
};
