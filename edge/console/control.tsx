import type { ViewerControl } from '@warmwind/shared/client/viewer';
import { type Holder, holdingViewer, type Requester } from '@warmwind/shared/contract/screen';
import { useEffect, useState } from 'preact/hooks';
import { nameOf } from './parts.tsx';

/** How long an unanswered request for control is shown, ms. */
const REQUEST_MS = 60_000;

export type Act = (action: 'request' | 'release' | 'take' | 'grant', viewerId?: string) => void;
type Props = ViewerControl & { owner: boolean; act: Act };

/** A credential without its kind is random: its beginning distinguishes agents. */
export const agentName = (credential: string): string =>
  `agent ${credential.replace(/^\w+:/, '').slice(0, 8)}`;

const holderName = (holder: Holder): string =>
  holder.type === 'agent'
    ? agentName(holder.credential)
    : nameOf({ id: holder.viewerId, userId: holder.userId, shared: holder.type === 'guest' });

export function Badge({ mode, holder, mine }: ViewerControl) {
  if (mode === 'view') return <span class="state view">view only</span>;
  if (mine) return <span class="state controls">you control</span>;
  return holder ? (
    <span class="state view">{holderName(holder)} controls</span>
  ) : (
    <span class="state">no controller</span>
  );
}

/** The one button for control: it keeps the focus while its action changes. */
export function ControlButton({ mode, holder, mine, owner, act }: Props) {
  const [asked, setAsked] = useState<string>();
  const waits = asked !== undefined && asked === holdingViewer(holder);
  if (mode === 'view') return null;
  const [text, run]: [string, () => void] = mine
    ? ['Release', () => act('release')]
    : !holder
      ? ['Take control', () => act('request')]
      : owner
        ? [`Take control from ${holderName(holder)}`, () => act('take')]
        : [
            waits ? 'Request control again' : 'Request control',
            () => {
              setAsked(holdingViewer(holder));
              act('request');
            },
          ];
  return (
    <>
      <button type="button" class="control" onClick={run}>
        {text}
      </button>
      {waits && !mine && (
        <small role="status">
          Requested: {holder && holderName(holder)} {holder?.type === 'guest' && 'or the desktop’s owner '}can
          hand it over.
        </small>
      )}
    </>
  );
}

/**
 * Viewers that request control, newest last. A request ends when its viewer has control, or after
 * `REQUEST_MS`.
 */
export function useRequests(
  holder: Holder | null,
): [Requester[], (viewer: Requester) => void, (id: string) => void] {
  const [requests, setRequests] = useState<Requester[]>([]);
  const drop = (id: string) => setRequests((now) => now.filter(({ viewerId }) => viewerId !== id));
  const add = (viewer: Requester) => {
    setRequests((now) => [...now.filter(({ viewerId }) => viewerId !== viewer.viewerId), viewer]);
    setTimeout(() => drop(viewer.viewerId), REQUEST_MS);
  };
  const holding = holdingViewer(holder);
  useEffect(() => {
    if (holding !== undefined) drop(holding);
  }, [holding]);
  return [requests, add, drop];
}

type RequestsProps = { requests: Requester[]; owner: boolean; act: Act; onDismiss: (id: string) => void };

/** Requests for control: the owner grants them; a guest that holds control releases it. */
export const Requests = ({ requests, owner, act, onDismiss }: RequestsProps) => (
  <>
    {requests.map((viewer) => (
      <div key={viewer.viewerId} class="request line" role="alert">
        <span>{holderName(viewer)} asks for control.</span>
        <button
          type="button"
          onClick={() => {
            onDismiss(viewer.viewerId);
            if (owner) act('grant', viewer.viewerId);
            else act('release');
          }}
        >
          {owner ? 'Give control' : 'Release control'}
        </button>
        <button type="button" onClick={() => onDismiss(viewer.viewerId)}>
          Not now
        </button>
      </div>
    ))}
  </>
);
