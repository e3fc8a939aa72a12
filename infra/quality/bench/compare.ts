import { round } from './client.ts';
import { type Figure, median, percentile } from './report.ts';

/** A server that accepts submissions; `keyed`: each with an `Idempotency-Key` of its own. */
export type Contender = { name: string; url: string; keyed?: boolean; target?: { atMost: number } };
export type Rounds = { rounds: number; requests: number; inFlight: number };

/** Measures all in turn, so that noise affects all alike. The others are compared with the last one. */
export async function compare(
  contenders: Contender[],
  { rounds, requests, inFlight }: Rounds,
): Promise<Figure[]> {
  const seen = contenders.map((contender) => ({ contender, times: [] as number[], medians: [] as number[] }));
  for (let i = 0; i < rounds; i++) {
    for (const { contender, times, medians } of seen) {
      const { url, keyed = false } = contender;
      const { times: taken } = await round(url, { requests, inFlight, keyed });
      times.push(...taken);
      medians.push(median(taken));
    }
  }
  const floor = seen.pop();
  if (!floor) return [];
  return [
    ...[...seen, floor].flatMap(({ contender: { name }, times }) => [
      { name: `${name} p50`, value: median(times), unit: 'ms' },
      { name: `${name} p95`, value: percentile(times, 95), unit: 'ms' },
    ]),
    ...seen.map(({ contender: { name, target }, medians }) => ({
      name: `p50, ${name} / ${floor.contender.name}`,
      value: median(medians.map((value, i) => value / (floor.medians[i] ?? Number.NaN))),
      unit: '×',
      ...(target ? { target } : {}),
    })),
  ];
}
