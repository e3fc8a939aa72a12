import type { Service } from './processes.ts';

/** Sums the reconcile counters of the workers over the lives of their processes. */
export class Counts {
  readonly sums: Record<string, number> = {};

  /** Adds the counters of this process. Call it once, right before the process ends. */
  async take({ url }: Service): Promise<void> {
    const text = await fetch(`${url}/metrics`, { signal: AbortSignal.timeout(5000) }).then(
      (response) => response.text(),
      () => '',
    );
    for (const [, what = '', count] of text.matchAll(/^warmwind_reconciled_total\{what="(\w+)"\} (\d+)/gm)) {
      if (Number(count) > 0) this.sums[what] = (this.sums[what] ?? 0) + Number(count);
    }
  }
}
