import { useEffect, useMemo, useState } from 'preact/hooks';
import { Api } from './api.ts';
import { Home } from './home.tsx';
import { Login } from './login.tsx';
import { hash } from './place.ts';
import { readShare, SharedScreen } from './share.tsx';
import { Store } from './store.ts';

/** The tab remembers who is logged in; other tabs and later visits do not. */
const TOKEN = 'warmwind-token';

/** A link that shares a screen, or the console of who logs in. */
export function App() {
  const share = useMemo(readShare, [hash.value]);
  const [token, setToken] = useState(sessionStorage.getItem(TOKEN) ?? '');
  const [store, setStore] = useState<Store>();

  const leave = () => {
    sessionStorage.removeItem(TOKEN);
    setToken('');
  };
  useEffect(() => {
    if (share || !token) return;
    const opened = new Store(new Api(token, leave), subjectOf(token));
    setStore(opened);
    return () => {
      setStore(undefined);
      void opened.close();
    };
  }, [share, token]);

  if (share) return <SharedScreen key={hash.value} {...share} />;
  if (!token) {
    return (
      <Login
        onToken={(given) => {
          sessionStorage.setItem(TOKEN, given);
          setToken(given);
        }}
      />
    );
  }
  return store ? <Home store={store} onLeave={leave} /> : null;
}

/** Whose token it is, as it says itself: the edge judges it. */
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
