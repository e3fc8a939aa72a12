import { signal } from '@preact/signals';
import { RequestError } from '@warmwind/shared/client/http-errors';
import { inWords } from '@warmwind/shared/runtime/durations';
import { Empty } from './parts.tsx';
import type { ReadFailure, Refresher } from './refresher.ts';

const second = signal(0);
setInterval(() => {
  second.value += 1;
}, 1000);

/** A placeholder for data that is not loaded: it is loading, or why it could not be loaded. */
export function NotLoaded({ what, refresher }: { what: string; refresher: Refresher }) {
  const failure = refresher.failure.value;
  if (failure) {
    return (
      <p class="wrong" role="status">
        {what} could not be loaded: {reason(failure)} <Wait until={failure.retryAt} />
      </p>
    );
  }
  return refresher.loaded.value ? null : <Empty>Loading: {what.toLowerCase()}…</Empty>;
}

/** A notice that the server can't be reached. */
export const Unreachable = () => (
  <p class="wrong" role="alert">
    The server can't be reached. Check the connection; trying again.
  </p>
);

function reason({ error }: ReadFailure): string {
  const status = error instanceof RequestError ? error.status : undefined;
  if (status === 0) return "the server can't be reached.";
  if (status === 429) return 'your rate limit is reached.';
  return error.message;
}

function Wait({ until }: { until: number | undefined }) {
  second.value;
  if (until === undefined) return null;
  const leftMs = until - Date.now();
  return <>{leftMs > 0 ? `Trying again in ${inWords(leftMs)}.` : 'Trying again…'}</>;
}
