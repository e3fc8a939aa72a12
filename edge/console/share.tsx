import { connect } from '@warmwind/shared/client/client';
import type { Ticket } from '@warmwind/shared/contract/tickets';
import { useEffect, useRef } from 'preact/hooks';
import { Brand } from './parts.tsx';
import { ScreenView } from './screen.tsx';

export type Share = { containerId: string; token: string; url: string };

/** Builds a link to one screen. Its ticket is behind the `#`, which browsers send to no server. */
export const shareLink = (containerId: string, { token, url }: Pick<Ticket, 'token' | 'url'>): string =>
  `${location.origin}/#${new URLSearchParams({ watch: containerId, relay: url, ticket: token })}`;

export function readShare(): Share | undefined {
  const fragment = new URLSearchParams(location.hash.slice(1));
  const [containerId, url, token] = [fragment.get('watch'), fragment.get('relay'), fragment.get('ticket')];
  return containerId && url && token ? { containerId, url, token } : undefined;
}

/** The page of a share link: the screen and nothing else. */
export function SharedScreen({ containerId, token, url }: Share) {
  const connection = useRef<ReturnType<typeof connect>>(undefined);
  const open = async () => {
    connection.current ??= connect({ url, token });
    return connection.current;
  };
  useEffect(() => () => connection.current?.close(), []);
  return (
    <>
      <header>
        <Brand />
        <span class="who">shared screen</span>
      </header>
      <section class="watch">
        <ScreenView relay={open} containerId={containerId} />
      </section>
    </>
  );
}
