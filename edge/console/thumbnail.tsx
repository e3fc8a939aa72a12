import { useEffect, useState } from 'preact/hooks';
import type { Store } from './store.ts';

/** Each look counts against the user's rate limits: seldom, and only while the page is in front. */
const LOOK_EVERY_MS = 60_000;
/** A desktop that has just come up has drawn its first picture by then. */
const FIRST_LOOK_MS = 1500;

/** A still picture of a running desktop. */
export function Thumbnail({ store, id }: { store: Store; id: string }) {
  const [url, setUrl] = useState('');

  useEffect(() => {
    let shown = '';
    let gone = false;
    const look = async () => {
      if (document.visibilityState !== 'visible') return;
      const image = await store.api.blob(`/containers/${id}/screenshot?format=jpeg`).catch(() => undefined);
      if (!image || gone) return;
      URL.revokeObjectURL(shown);
      shown = URL.createObjectURL(image);
      setUrl(shown);
    };
    const first = setTimeout(look, FIRST_LOOK_MS);
    const timer = setInterval(look, LOOK_EVERY_MS);
    return () => {
      gone = true;
      clearTimeout(first);
      clearInterval(timer);
      URL.revokeObjectURL(shown);
    };
  }, [store, id]);

  return url ? <img src={url} alt="" /> : null;
}
