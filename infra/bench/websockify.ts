import { spawn } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';
import { type Parser, skip } from '../../workers/screen/rfb/feed.ts';
import { handshake } from '../../workers/screen/rfb/handshake.ts';
import { pixelFormat, streamEncodings, updateRequest } from '../../workers/screen/rfb/messages.ts';
import { freePort } from '../testing/port.ts';
import { waitFor } from '../testing/wait.ts';
import { cpuMs } from './desktop.ts';

/** What people use today: one process a viewer, each with a VNC connection of its own. */
export async function startWebsockify(socketPath: string) {
  const port = await freePort();
  const child = spawn('websockify', [`--unix-target=${socketPath}`, `127.0.0.1:${port}`], {
    stdio: 'ignore',
  });
  const url = `ws://127.0.0.1:${port}`;
  await waitFor('websockify', () => probe(url));
  return {
    url,
    /** CPU time of it and of its processes that live, ms. */
    cpuMs: async () => {
      const pids = [child.pid ?? 0, ...(await childrenOf(child.pid ?? 0))];
      return (await Promise.all(pids.map(cpuMs))).reduce((sum, ms) => sum + ms, 0);
    },
    stop: async () => {
      const gone = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGTERM');
      await gone;
    },
  };
}

const probe = (url: string) =>
  new Promise<boolean>((resolve) => {
    const socket = new WebSocket(url, ['binary']);
    socket.onerror = () => resolve(false);
    socket.onopen = () => {
      socket.close();
      resolve(true);
    };
  });

async function childrenOf(parent: number): Promise<number[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
  const found: number[] = [];
  for (const pid of pids) {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
    if (Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]) === parent) found.push(pid);
  }
  return found;
}

/** A viewer that asks as noVNC does, counts updates and looks at no pixel. */
export function stubViewer(url: string): { updates: () => number; bytes: () => number; stop: () => void } {
  const socket = new WebSocket(url, ['binary']);
  socket.binaryType = 'arraybuffer';
  let updates = 0;
  let bytes = 0;
  const send = (message: Buffer) => socket.send(new Uint8Array(message));
  function* session(): Parser<void> {
    const size = yield* handshake(send);
    send(pixelFormat());
    send(streamEncodings(true));
    send(updateRequest(size, false));
    for (;;) {
      yield* readMessage();
      updates++;
      send(updateRequest(size, true));
    }
  }
  const parser = session();
  let step = parser.next(Buffer.alloc(0));
  let held = Buffer.alloc(0);
  socket.onmessage = ({ data }) => {
    const chunk = Buffer.from(data as ArrayBuffer);
    bytes += chunk.length;
    held = held.length > 0 ? Buffer.concat([held, chunk]) : chunk;
    let at = 0;
    while (!step.done && typeof step.value === 'number' && held.length - at >= step.value) {
      const wanted = step.value;
      step = parser.next(held.subarray(at, at + wanted));
      at += wanted;
    }
    held = held.subarray(at);
  };
  return { updates: () => updates, bytes: () => bytes, stop: () => socket.close() };
}

/** Reads past server messages until an update is over. */
function* readMessage(): Parser<void> {
  for (;;) {
    const type = (yield 1).readUInt8();
    if (type === 3) yield* skip(Math.abs((yield 7).readInt32BE(3)));
    else if (type === 0) break;
    else if (type !== 2) throw new Error(`message ${type}`);
  }
  const count = (yield 3).readUInt16BE(1);
  for (let index = 0; index < count; index++) {
    const head = yield 12;
    const [w, h, encoding] = [head.readUInt16BE(4), head.readUInt16BE(6), head.readInt32BE(8)];
    if (encoding === -224) break;
    if (encoding === -308) yield* skip(16 * (yield 4).readUInt8());
    else if (encoding === 0) yield* skip(w * h * 4);
    else if (encoding === 1) yield* skip(4);
    else if (encoding === 7) yield* skipTight(w, h);
    else if (encoding !== -223) throw new Error(`encoding ${encoding}`);
  }
}

function* skipTight(w: number, h: number): Parser<void> {
  const kind = (yield 1).readUInt8() >> 4;
  if (kind === 8) return yield* skip(3);
  if (kind === 9) return yield* skip(yield* length());
  let bits = 24;
  if (kind & 4 && (yield 1).readUInt8() === 1) {
    const last = (yield 1).readUInt8();
    yield* skip(3 * (last + 1));
    bits = last === 1 ? 1 : 8;
  }
  const size = ((w * bits + 7) >> 3) * h;
  yield* skip(size < 12 ? size : yield* length());
}

function* length(): Parser<number> {
  let value = 0;
  for (const shift of [0, 7, 14]) {
    const byte = (yield 1).readUInt8();
    value |= (shift === 14 ? byte : byte & 127) << shift;
    if (byte < 128) break;
  }
  return value;
}
