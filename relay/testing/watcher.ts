import type { ControlRequest, Holder, InputDropped, WatchAck } from '@warmwind/shared/contract/screen';
import type { Socket } from 'socket.io-client';
import { connected, ticket, type World } from './world.ts';

type Seen = {
  kind: 'key' | 'frame';
  epoch: number;
  seq: number;
  bytes: Buffer;
  /** Size of a keyframe, pixels. */
  size?: [width: number, height: number];
};

/** A stock client that watches one desktop and records the events that it receives. */
export type Watcher = {
  socket: Socket;
  seen: Seen[];
  /** `<kind> <seq>` of all frames, in order. */
  story: () => string[];
  clipboards: string[];
  gone: string[];
  holders: (Holder | null)[];
  /** Viewers that ask for control. */
  requests: Holder[];
  dropped: InputDropped[];
  answer: WatchAck;
  viewerId: string;
  ack: () => void;
  bytes: () => number;
};

type Options = {
  user?: string;
  mode?: 'view' | 'control';
  /** Whether it uses a share link. */
  shared?: boolean;
  /** Whether it acknowledges every frame at once. */
  acks?: boolean;
  id?: string;
};

export async function watch(
  world: World,
  url: string,
  containerId: string,
  { user = 'ann', mode = 'view', shared = false, acks = true, id }: Options = {},
): Promise<Watcher> {
  const token = await ticket(user, {
    mode,
    ...(shared ? { containerId } : {}),
    ...(id === undefined ? {} : { id }),
  });
  const socket = world.client(url, token);
  const seen: Seen[] = [];
  const [clipboards, gone, holders]: [string[], string[], (Holder | null)[]] = [[], [], []];
  const [requests, dropped]: [Holder[], InputDropped[]] = [[], []];
  const ack = () => {
    const last = seen.at(-1);
    if (last) socket.emit('vnc:ack', { containerId, epoch: last.epoch, seq: last.seq });
  };
  socket.on(
    'vnc:key',
    (_id: string, epoch: number, seq: number, width: number, height: number, bytes: Buffer) => {
      seen.push({ kind: 'key', epoch, seq, bytes, size: [width, height] });
      if (acks) ack();
    },
  );
  socket.on('vnc:frame', (_id: string, epoch: number, seq: number, bytes: Buffer) => {
    seen.push({ kind: 'frame', epoch, seq, bytes });
    if (acks) ack();
  });
  socket.on('vnc:cut', ({ text }: { text: string }) => clipboards.push(text));
  socket.on('vnc:cutTooLong', () => clipboards.push('too long'));
  socket.on('vnc:gone', ({ reason }: { reason: string }) => gone.push(reason));
  socket.on('vnc:control', ({ holder }: { holder: Holder | null }) => holders.push(holder));
  socket.on('vnc:request', ({ viewer }: ControlRequest) => requests.push(viewer));
  socket.on('vnc:dropped', (notice: InputDropped) => dropped.push(notice));
  const refused = await connected(socket);
  if (refused) throw refused;
  const answer = (await socket.timeout(8000).emitWithAck('vnc:watch', { containerId })) as WatchAck;
  return {
    socket,
    seen,
    story: () => seen.map(({ kind, seq }) => `${kind} ${seq}`),
    clipboards,
    gone,
    holders,
    requests,
    dropped,
    answer,
    viewerId: answer.ok ? answer.viewerId : '',
    ack,
    bytes: () => seen.reduce((sum, { bytes }) => sum + bytes.length, 0),
  };
}
