import { useEffect, useMemo, useState } from 'preact/hooks';
import type { Api } from './api.ts';
import { Refresher, type RefresherOptions } from './refresher.ts';

/** Reads a value for a component, and again every `everyMs`. */
export function useRefresher<T>(
  api: Api,
  read: () => Promise<T>,
  options: RefresherOptions = {},
): [value: T | undefined, refresher: Refresher] {
  const [value, setValue] = useState<T>();
  const refresher = useMemo(() => new Refresher(api, async () => setValue(await read()), options), [api]);
  useEffect(() => {
    refresher.request();
    return () => refresher.close();
  }, [refresher]);
  return [value, refresher];
}
