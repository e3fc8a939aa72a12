import { connect } from 'node:net';
import { listensOn } from './processes.ts';

/** Does the address answer 2xx in time, from this process group and not from another system's part? */
export const answersFrom = async (group: number, url: string): Promise<boolean> =>
  listensOn(group, Number(new URL(url).port)) && answers(url);

/** Does the address answer 2xx in time? */
const answers = (url: string): Promise<boolean> =>
  fetch(url, { signal: AbortSignal.timeout(3000) }).then(
    async (response) => {
      await response.body?.cancel();
      return response.ok;
    },
    () => false,
  );

/** Does the port accept a connection in time? */
export const accepts = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1', timeout: 1000 });
    const answer = (is: boolean) => () => {
      socket.destroy();
      resolve(is);
    };
    socket.once('connect', answer(true));
    socket.once('timeout', answer(false));
    socket.once('error', answer(false));
  });
