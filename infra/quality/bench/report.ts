/** One measured figure with its target. */
export type Figure = {
  name: string;
  value: number;
  unit: string;
  target?: { atMost?: number; atLeast?: number };
};

export function percentile(values: readonly number[], p: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor((p / 100) * sorted.length))] ?? Number.NaN;
}

export const median = (values: readonly number[]): number => percentile(values, 50);

/**
 * Prints the figures as a table.
 * @returns whether every target was met
 */
export function report(title: string, figures: Figure[]): boolean {
  console.log(`\n${title}`);
  let met = true;
  for (const { name, value, unit, target } of figures) {
    const shown = `${value.toFixed(value < 10 ? 2 : 0)} ${unit}`.trim();
    const holds = value <= (target?.atMost ?? Infinity) && value >= (target?.atLeast ?? -Infinity);
    met &&= holds;
    const wanted = target
      ? `  target ${target.atMost === undefined ? `≥ ${short(target.atLeast)}` : `≤ ${short(target.atMost)}`}  ${holds ? 'met' : 'MISSED'}`
      : '';
    console.log(`  ${name.padEnd(58)} ${shown.padStart(12)}${wanted}`);
  }
  return met;
}

const short = (bound = Number.NaN): number => Number(bound.toFixed(3));
