import { useEffect, useMemo, useState } from 'preact/hooks';
import { Api } from './api.ts';
import { Home } from './home.tsx';
import { Login } from './login.tsx';
import { hash } from './place.ts';
import { Session } from './session.ts';
import { readShare, SharedScreen } from './share.tsx';
import { Store } from './store.ts';

/**
 * A page that frames this one could trick its user into clicking on hidden parts: no token is accepted or
 * used in a frame.
 */
const framed = window.parent !== window;

/** The page of a share link, or the console of the logged-in user. */
export function App() {
  const share = useMemo(readShare, [hash.value]);
  const [token, setToken] = useState<string>();
  const [session, setSession] = useState<Session>();
  const [store, setStore] = useState<Store>();

  const shared = share !== undefined;
  useEffect(() => {
    if (shared || framed) return;
    const opened = new Session(setToken);
    setSession(opened);
    opened.find().then(setToken);
    return () => opened.close();
  }, [shared]);
  const leave = () => session?.leave();
  useEffect(() => {
    if (share || framed || !token) return;
    const opened = new Store(new Api(token, leave), subjectOf(token));
    setStore(opened);
    return () => {
      setStore(undefined);
      void opened.close();
    };
  }, [share, token]);

  if (share) return <SharedScreen key={hash.value} {...share} />;
  if (framed) {
    return (
      <p class="empty">
        Only shared screens are shown within other pages.{' '}
        <a href="/" target="_blank" rel="noreferrer">
          Open the console in a tab of its own
        </a>
        .
      </p>
    );
  }
  if (token === undefined) return null;
  if (!token) return <Login onToken={(given) => session?.enter(given)} />;
  return store ? <Home store={store} onLeave={leave} /> : null;
}

/** Reads the `sub` of a token without verifying it: the edge verifies it. */
function subjectOf(token: string): string {
  try {
    const [, payload = ''] = token.split('.');
    const bytes = Uint8Array.from(atob(payload.replaceAll('-', '+').replaceAll('_', '/')), (char) =>
      char.charCodeAt(0),
    );
    return String(JSON.parse(new TextDecoder().decode(bytes)).sub ?? '');
  } catch {
    return '';
  }
}
