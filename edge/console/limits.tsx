import { isTerminal } from '@warmwind/shared/contract/jobs';
import { useEffect } from 'preact/hooks';
import { NotLoaded } from './retrying.tsx';
import type { Store } from './store.ts';
import { useRefresher } from './use-refresher.ts';

/** The interval between reads, ms: they do not count against the limits. */
const READ_EVERY_MS = 15_000;
const SPACING_MS = 2000;

/** The remaining rate limits and quotas of the user. */
export function LimitBars({ store }: { store: Store }) {
  const read = () => store.api.edge.getLimits();
  const [limits, refresher] = useRefresher(store.api, read, {
    everyMs: READ_EVERY_MS,
    spacingMs: SPACING_MS,
  });
  // Refreshes soon after the user has submitted a job.
  const open = [...store.jobs.value.values()].filter(({ state }) => !isTerminal(state)).length;
  useEffect(() => refresher.request(), [open]);

  return (
    <section class="limits">
      <h2>Limits</h2>
      <NotLoaded what="Your limits" refresher={refresher} />
      {limits?.tiers.map(({ name, limit, remaining }) => (
        <Bar key={name} name={name} used={limit - remaining} limit={limit} />
      ))}
      {limits?.quotas.map(({ name, limit, used }) => (
        <Bar key={name} name={`open ${name}`} used={used} limit={limit} />
      ))}
    </section>
  );
}

const Bar = ({ name, used, limit }: { name: string; used: number; limit: number }) => (
  <div class="bar">
    <span>{name}</span>
    <meter min={0} max={limit} high={limit * 0.8} value={used} />
    <span>
      {used}/{limit}
    </span>
  </div>
);
