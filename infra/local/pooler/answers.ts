import { connect } from 'node:net';

/** Length and code of PostgreSQL's SSLRequest, the one message that is answered without a login. */
const SSL_REQUEST = Buffer.from([0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f]);
const WITHIN_MS = 2000;

/** Does the pooler on this port answer in time? A kernel would accept connections for a frozen one. */
export const poolerAnswers = (port: number, host = '127.0.0.1'): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect({ port, host });
    const bound = setTimeout(() => finish(false), WITHIN_MS);
    const finish = (answer: boolean) => {
      clearTimeout(bound);
      socket.destroy();
      resolve(answer);
    };
    socket.once('connect', () => socket.write(SSL_REQUEST));
    socket.once('data', () => finish(true));
    socket.once('error', () => finish(false));
    socket.once('close', () => finish(false));
  });
