import type { Limits } from '@warmwind/shared/limits';
import { useEffect, useState } from 'preact/hooks';
import type { Store } from './store.ts';

const LOOK_EVERY_MS = 5000;

/** What is left of one's rate limits and quotas. */
export function LimitBars({ store }: { store: Store }) {
  const [limits, setLimits] = useState<Limits>();

  useEffect(() => {
    const look = () => {
      if (document.visibilityState === 'visible') {
        store.api.call<Limits>('GET', '/limits').then(setLimits, () => undefined);
      }
    };
    look();
    const timer = setInterval(look, LOOK_EVERY_MS);
    return () => clearInterval(timer);
  }, [store]);

  if (!limits) return null;
  return (
    <section class="limits">
      <h2>Limits</h2>
      {limits.tiers.map(({ name, limit, remaining }) => (
        <Bar key={name} name={name} used={limit - remaining} limit={limit} />
      ))}
      {limits.quotas.map(({ name, limit, used }) => (
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
