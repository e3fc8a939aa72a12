import { useEffect, useState } from 'preact/hooks';
import { Refresher } from './refresher.ts';
import type { Store } from './store.ts';

/** The interval between pictures, ms: each one counts against the user's rate limits. */
const READ_EVERY_MS = 5 * 60_000;
/** The delay before the first picture, ms: a desktop that has just started has drawn its screen by then. */
const FIRST_LOOK_MS = 1500;

/** A still picture of a running desktop. */
export function Thumbnail({ store, id }: { store: Store; id: string }) {
  const [url, setUrl] = useState('');

  useEffect(() => {
    let shown = '';
    const look = async () => {
      const image = await store.api.edge.screenshot({ containerId: id, format: 'jpeg' });
      URL.revokeObjectURL(shown);
      shown = URL.createObjectURL(image);
      setUrl(shown);
    };
    const refresher = new Refresher(store.api, look, { everyMs: READ_EVERY_MS });
    const first = setTimeout(() => refresher.request(), FIRST_LOOK_MS);
    return () => {
      clearTimeout(first);
      refresher.close();
      URL.revokeObjectURL(shown);
    };
  }, [store, id]);

  return url ? <img src={url} alt="" /> : null;
}
