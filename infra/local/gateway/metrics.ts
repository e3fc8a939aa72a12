import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import { OUTCOMES, type Outcome } from './failure.ts';

const SECONDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5];

/** Counts a finished request and the time it took, ms. */
export type Observe = (outcome: Outcome, tookMs: number) => void;

/** @param streams how many streams of events are open */
export function createMetrics(registry: Registry, streams: () => number): Observe {
  new Gauge({
    name: 'warmwind_gateway_streams',
    help: 'Streams of events that are open.',
    registers: [registry],
    collect() {
      this.set(streams());
    },
  });
  const requests = new Counter({
    name: 'warmwind_gateway_requests_total',
    help: 'Requests by outcome.',
    labelNames: ['outcome'],
    registers: [registry],
  });
  const duration = new Histogram({
    name: 'warmwind_gateway_request_seconds',
    help: 'Time from a request to its answer.',
    buckets: SECONDS,
    registers: [registry],
  });
  const counters = new Map(OUTCOMES.map((outcome) => [outcome, requests.labels(outcome)]));
  for (const counter of counters.values()) counter.inc(0);
  return (outcome, tookMs) => {
    counters.get(outcome)?.inc();
    duration.observe(tookMs / 1000);
  };
}
