import { RequestError } from '@warmwind/shared/client/http-errors';
import { useRef, useState } from 'preact/hooks';
import { Api } from './api.ts';
import { Brand } from './parts.tsx';

export function Login({ onToken }: { onToken: (token: string) => void }) {
  const [token, setToken] = useState('');
  const [wrong, setWrong] = useState('');
  const [pending, setPending] = useState(false);
  const busy = useRef(false);

  const enter = async (event: Event) => {
    event.preventDefault();
    if (busy.current) return;
    busy.current = true;
    const given = token.trim();
    setWrong('');
    setPending(true);
    try {
      await new Api(given, () => {}).edge.getLimits();
      onToken(given);
    } catch (error) {
      const refused = error instanceof RequestError && error.status === 401;
      setWrong(
        refused ? 'This token is not accepted: it may have expired.' : String((error as Error).message),
      );
    } finally {
      busy.current = false;
      setPending(false);
    }
  };

  return (
    <section class="login">
      <Brand />
      <h1>Desktops and inference on demand</h1>
      <form onSubmit={enter}>
        <label>
          Access token
          <input
            type="password"
            autocomplete="off"
            spellcheck={false}
            placeholder="eyJhbGciOi…"
            value={token}
            onInput={(event) => setToken(event.currentTarget.value)}
            required
          />
        </label>
        <button type="submit" class="primary" disabled={pending}>
          {pending ? 'Logging in…' : 'Log in'}
        </button>
        {wrong && (
          <p class="wrong" role="alert">
            {wrong}
          </p>
        )}
        <p class="hint">
          On your own machine <code>npm start</code> writes ready-to-use tokens to{' '}
          <code>.warmwind/stack.json</code>. Tabs that you open from here are logged in too; the token is
          stored nowhere else. API: <a href="/docs">/docs</a>
        </p>
      </form>
    </section>
  );
}
