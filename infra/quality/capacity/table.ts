import { jobs, keyEveryMs, measured, screens } from './figures.ts';
import { type Plan, plan } from './plan.ts';
import { prices, sizes } from './sizes.ts';

const VIEWERS = [100, 10_000, 1_000_000];
/** Viewers of one desktop, its content, and events a second of its room. */
const MIXES = {
  'one event, an animation': {
    ofOneDesktop: Number.POSITIVE_INFINITY,
    screen: screens.animation,
    events: 0.2,
  },
  'rooms of 50, an animation': { ofOneDesktop: 50, screen: screens.animation, events: 0.2 },
  'a desktop each, scrolling text': { ofOneDesktop: 1, screen: screens.text, events: 0.2 },
};

/** A row, computed from a plan and from the same plan with the viewers of each desktop on the same nodes. */
type Row = [name: string, of: (plan: Plan, together: Plan) => string];
const ROWS: Row[] = [
  ['desktops', ({ desktops }) => number(desktops)],
  ['to one viewer, KB/s', ({ viewerKb }) => number(viewerKb)],
  ['to all, Gbit/s', ({ gbit }) => number(gbit)],
  ['**relay** nodes, and their limit', ({ relay }) => `${number(relay.nodes)}, ${fullOf(relay)}`],
  ['sockets of a node', ({ relay }) => number(relay.socketsEach)],
  ['processors busy, all nodes', ({ relay }) => number(relay.cpus)],
  ['nodes, if a desktop’s viewers share nodes', (_, { relay }) => `${number(relay.nodes)}, ${fullOf(relay)}`],
  ['**realtime Redis** messages out /s', ({ redis }) => number(redis.messages)],
  ['processors busy', ({ redis }) => number(redis.cpus)],
  ['out, Gbit/s', ({ redis }) => number(redis.gbit)],
  ['out while all join in a minute, Gbit/s', ({ redis }) => number(redis.joinGbit)],
  [
    'shards × servers of each',
    ({ redis }) => `${number(redis.shards)} × ${number(redis.servers / redis.shards)}`,
  ],
  ['shards × servers, if viewers share nodes', (_, { redis }) => servers(redis)],
  ['**hosts** of desktops', ({ hosts }) => number(hosts.hosts)],
  ['desktops of a host, at most, by', ({ hosts }) => `${number(hosts.each)}, ${hosts.fullOf}`],
  ['worker processes of a host', ({ hosts }) => number(hosts.workers)],
  ['**jobs**: starts /s', ({ jobs }) => number(jobs.starts)],
  ['queue Redis, processors busy', (all) => number(all.jobs.queueCpus)],
  ['processes that move the ledger', (all) => number(all.jobs.ledgerProcesses)],
  ['**$ an hour**: relay', ({ cost }) => number(cost.relay)],
  ['realtime Redis', ({ cost }) => number(cost.redis)],
  ['hosts', ({ cost }) => number(cost.hosts)],
  ['ledger, queue, balancers', ({ cost }) => number(cost.rest)],
  ['balancers and zones, by GB', ({ cost }) => number(cost.passing)],
  ['egress', ({ cost }) => number(cost.egress)],
  ['all', ({ cost }) => number(cost.total)],
  ['**more than is deployed today**', beyond],
];

/** Prints the page's tables, one for each number of viewers. */
export function tables(): string {
  const names = Object.keys(MIXES);
  const figures = { measured, jobs, keyEveryMs };
  return VIEWERS.map((viewers) => {
    const pairs = Object.values(MIXES).map((mix) =>
      [false, true].map((together) => plan({ viewers, ...mix, together }, figures, sizes, prices)),
    ) as [Plan, Plan][];
    const rows = ROWS.map(([name, of]) => [name, ...pairs.map((pair) => of(...pair))]);
    return table([`${number(viewers)} viewers`, ...names], rows);
  }).join('\n\n');
}

/** Prints a Markdown table as the formatter would. */
export function table(head: string[], rows: string[][]): string {
  const widths = head.map((_, i) => Math.max(...[head, ...rows].map((row) => row[i]?.length ?? 0)));
  const line = (cells: string[]) => `| ${cells.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join(' | ')} |`;
  const rule = line(widths.map((width) => '-'.repeat(width)));
  return [line(head), rule, ...rows.map(line)].join('\n');
}

/** Prints three significant digits, the precision of the measurements. */
export const number = (value: number): string =>
  value > 0 && value < 0.01 ? '< 0.01' : value.toLocaleString('en', { maximumSignificantDigits: 3 });

const servers = ({ shards, servers }: Plan['redis']): string =>
  `${number(shards)} × ${number(servers / shards)}`;

const fullOf = ({ fullOf, full }: Plan['relay']): string => `${fullOf} (${number(full * 100)} %)`;

function beyond({ relay, redis, hosts }: Plan): string {
  const over = [
    relay.nodes > sizes.relay.most && `relay nodes > ${sizes.relay.most}`,
    redis.shards > 1 && 'shards',
    redis.servers / redis.shards > 2 && !redis.beyondReplicas && 'reads from replicas',
    redis.beyondReplicas && 'a fan-out tier',
    redis.joinGbit > sizes.redis.burstGbit * redis.servers && 'keyframes while all join',
    hosts.hosts > sizes.host.most && `hosts > ${sizes.host.most}`,
    hosts.workers > 1 && 'workers of a host > 1',
  ];
  return over.filter(Boolean).join(', ') || 'nothing';
}
