import { vi } from 'vitest';
import { Admission } from '../containers/admission.ts';
import type { Worker } from './fleet.ts';

/** Sweeps once, and does `work` when the sweep has read the records and acted on none of them. */
export async function duringSweep<T>(worker: Worker, work: () => Promise<T>): Promise<T> {
  const { reconcile } = Admission.prototype;
  const worked = Promise.withResolvers<T>();
  const spy = vi.spyOn(Admission.prototype, 'reconcile');
  spy.mockImplementationOnce(async function (this: Admission, ...args: Parameters<typeof reconcile>) {
    await work().then(worked.resolve, worked.reject);
    await reconcile.apply(this, args);
  });
  try {
    const [result] = await Promise.all([worked.promise, worker.sweep()]);
    return result;
  } finally {
    spy.mockRestore();
  }
}
