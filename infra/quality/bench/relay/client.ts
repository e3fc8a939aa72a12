import type { Socket } from 'node:net';
import { ACK_EVERY_BYTES, ACK_EVERY_MS } from '@warmwind/shared/contract/screen';
import { WebSocket } from 'ws';

/**
 * One client of a relay or of the bare server. It implements the needed part of Socket.IO itself, so that
 * hundreds of clients leave the processor to the server. Each message carries the time of its sending.
 */
export type ClientOptions = {
  url: string;
  /** The request that is sent once connected; undefined for the bare server, which sends without one. */
  ask?: { token: string; event: 'vnc:watch' | 'subscribe'; argument: Record<string, string> };
  /** Whether it acknowledges frames, as viewers do. */
  acks: boolean;
  /** Bytes a second that it reads at most; 0: it stops reading once it watches. */
  bytesPerSecond?: number;
};

export type Delivery = { bytes: number; ageMs: number; key: boolean };

/** Nanoseconds of a clock that all processes of a machine share. */
export const clock = (): bigint => process.hrtime.bigint();

/**
 * Connects a client and watches.
 * @param onDelivery called for each frame or event
 * @returns its connection, once it watches
 */
export function openClient(
  options: ClientOptions,
  onDelivery: (delivery: Delivery) => void,
): Promise<Socket> {
  const { url, ask, acks, bytesPerSecond } = options;
  const path = ask ? '/socket.io/?EIO=4&transport=websocket' : '';
  const ws = new WebSocket(url.replace('http', 'ws') + path, { perMessageDeflate: false });
  /**
   * The text message before a binary: event name, argument and, from a relay, epoch and sequence of the
   * frame.
   */
  let head: [string, string, number, number] = ['', '', 0, 0];
  let [owed, epoch, seq]: [number, number, number] = [0, 0, 0];
  let timer: NodeJS.Timeout | undefined;
  /** When a slow reader will have read all received bytes. */
  let readUntil = 0;
  let reading: NodeJS.Timeout | undefined;
  let socket: Socket;

  const ack = () => {
    clearTimeout(timer);
    timer = undefined;
    owed = 0;
    if (ws.readyState !== ws.OPEN) return;
    if (ask) ws.send(`42${JSON.stringify(['vnc:ack', { ...ask.argument, epoch, seq }])}`);
    else ws.send(JSON.stringify({ epoch, seq }));
  };
  const take = (delivery: Delivery) => {
    onDelivery(delivery);
    if (acks) {
      owed += delivery.bytes;
      if (owed >= ACK_EVERY_BYTES) ack();
      else timer ??= setTimeout(ack, ACK_EVERY_MS);
    }
    if (!bytesPerSecond) return;
    const now = performance.now();
    readUntil = Math.max(readUntil, now) + (delivery.bytes / bytesPerSecond) * 1000;
    ws.pause();
    clearTimeout(reading);
    reading = setTimeout(() => ws.resume(), readUntil - now);
  };

  return new Promise((resolve, reject) => {
    ws.once('error', reject);
    const watching = () => {
      if (bytesPerSecond === 0) ws.pause();
      resolve(socket);
    };
    ws.on('upgrade', (response) => {
      socket = response.socket;
    });
    ws.on('open', () => {
      if (!ask) watching();
    });
    ws.on('message', (data: Buffer, isBinary: boolean) => {
      if (isBinary) {
        if (ask) [, , epoch, seq] = head;
        else seq += 1;
        const ageMs = Number(clock() - data.readBigUInt64LE(0)) / 1e6;
        take({ bytes: data.length, ageMs, key: head[0] === 'vnc:key' });
        return;
      }
      const text = data.toString();
      if (!ask) take({ bytes: text.length, ageMs: ageOf(text), key: false });
      else if (text.startsWith('451-')) head = JSON.parse(text.slice(4));
      else if (text.startsWith('42')) take({ bytes: text.length, ageMs: ageOf(text), key: false });
      else if (text.startsWith('0')) ws.send(`40${JSON.stringify({ token: ask.token })}`);
      else if (text.startsWith('40')) ws.send(`420${JSON.stringify([ask.event, ask.argument])}`);
      else if (text.startsWith('430')) watching();
      else if (text === '2') ws.send('3');
    });
  });
}

/** @returns the age of an event, which carries its time as text, ms */
const ageOf = (text: string): number =>
  Number(clock() - BigInt(/"sentAt":"(\d+)"/.exec(text)?.[1] ?? clock())) / 1e6;
