import type { Service } from './processes.ts';

/** What the workers' reconcilers count, over the lives of their processes. */
export class Counts {
  readonly sums: Record<string, number> = {};

  /** Adds what this process has counted: once, right before it ends. */
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
