import { createServer, type Server, type Socket } from 'node:net';

/** The messages of a client that the server records. */
export type ClientMessage =
  | { t: 'key'; keysym: number; down: boolean }
  | { t: 'ptr'; x: number; y: number; mask: number }
  | { t: 'cut'; text: string };

/** An RFB server without a screen: it does the handshake, and then the test controls it. */
export type RfbServer = {
  path: string;
  /** The number of connections that it has accepted. */
  connections: () => number;
  /** Keys, the pointer and Latin-1 text that clients sent, in order. */
  messages: ClientMessage[];
  /** Ends every connection. */
  hangUp: () => void;
  stop: () => Promise<void>;
};

const LENGTHS: Record<number, (bytes: Buffer) => number> = {
  0: () => 20,
  2: (bytes) => (bytes.length < 4 ? 4 : 4 + 4 * bytes.readUInt16BE(2)),
  3: () => 10,
  4: () => 8,
  5: () => 6,
  6: (bytes) => (bytes.length < 8 ? 8 : 8 + Math.abs(bytes.readInt32BE(4))),
  251: (bytes) => (bytes.length < 8 ? 8 : 8 + 16 * bytes.readUInt8(6)),
};

/**
 * Starts an RFB server.
 * @param path the path of its socket
 * @param onRequest is called for each request of an update
 * @param onGreeted is called when a client has received the size of the screen
 */
export async function serveRfb(
  path: string,
  {
    width = 64,
    height = 48,
    onRequest = () => undefined,
    onGreeted = () => undefined,
  }: {
    width?: number;
    height?: number;
    onRequest?: (socket: Socket, incremental: boolean) => void;
    onGreeted?: (socket: Socket) => void;
  } = {},
): Promise<RfbServer> {
  const sockets = new Set<Socket>();
  const messages: ClientMessage[] = [];
  let connections = 0;

  const onMessage = (message: Buffer, socket: Socket) => {
    const type = message[0];
    if (type === 3) onRequest(socket, message[1] === 1);
    else if (type === 4) messages.push({ t: 'key', keysym: message.readUInt32BE(4), down: message[1] === 1 });
    else if (type === 5) {
      messages.push({
        t: 'ptr',
        x: message.readUInt16BE(2),
        y: message.readUInt16BE(4),
        mask: message[1] ?? 0,
      });
    } else if (type === 6) messages.push({ t: 'cut', text: message.toString('latin1', 8) });
  };

  const server: Server = createServer((socket) => {
    connections++;
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.on('close', () => sockets.delete(socket));
    const init = Buffer.alloc(24);
    init.writeUInt16BE(width, 0);
    init.writeUInt16BE(height, 2);
    const answers = [Buffer.of(1, 1), Buffer.alloc(4), init];
    const questions = [12, 1, 1];
    let received = Buffer.alloc(0);
    socket.write('RFB 003.008\n');
    socket.on('data', (chunk: Buffer) => {
      received = Buffer.concat([received, chunk]);
      for (;;) {
        const question = questions[0];
        const type = received[0];
        if (type === undefined) return;
        const length = question ?? LENGTHS[type]?.(received);
        if (length === undefined) throw new Error(`a client message ${type}`);
        if (received.length < length) return;
        const message = received.subarray(0, length);
        received = received.subarray(length);
        if (question === undefined) onMessage(message, socket);
        else {
          questions.shift();
          socket.write(answers.shift() ?? '');
          if (questions.length === 0) onGreeted(socket);
        }
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));

  const hangUp = () => {
    for (const socket of sockets) socket.destroy();
  };
  return {
    path,
    connections: () => connections,
    messages,
    hangUp,
    stop: async () => {
      const closed = new Promise((resolve) => server.close(resolve));
      hangUp();
      await closed;
    },
  };
}

/** Makes an update that fills the screen with one colour. */
export function filled(width: number, height: number, grey: number): Buffer {
  const update = Buffer.alloc(20);
  update.writeUInt16BE(1, 2);
  update.writeUInt16BE(width, 8);
  update.writeUInt16BE(height, 10);
  update.writeInt32BE(7, 12);
  update.fill(grey, 17);
  update.writeUInt8(0x80, 16);
  return update;
}
