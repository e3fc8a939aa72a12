import type { Program } from './desktop.ts';
import { type Cost, cpuOf, perUpdate } from './measure.ts';

const COLUMNS = [
  'fps',
  'updates/s',
  'KiB/s',
  'p50 ms',
  'p95 ms',
  'CPU ms/s',
  'Xvnc ms/s',
  'µs an update',
  'with Xvnc',
];

/** The head of the table: figures of one viewer, then of all; `line` prints a value for each. */
export const heading = (): string => row('program, viewers, path', COLUMNS);

export function line(program: Program, path: string, cost: Cost): string {
  const { viewers, fps, updates, kib, p50, p95, xvnc } = cost;
  const cpu = cpuOf(cost);
  const values = [fps, updates, kib, p50, p95, cpu, xvnc, perUpdate(cost), perUpdate(cost, cost.xvnc)];
  const shown = values.map((value) => value.toFixed(value < 100 ? 1 : 0));
  const parts = Object.entries(cost.cpu).map(([name, ms]) => `${name} ${ms.toFixed(0)}`);
  return `${row(`${program}, ${viewers}, ${path}`, shown)}  ${parts.join(', ')}`;
}

const row = (name: string, cells: string[]): string =>
  name.padEnd(26) + cells.map((cell) => cell.padStart(13)).join('');
