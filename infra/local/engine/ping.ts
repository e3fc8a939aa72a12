import { request } from 'node:http';

/** Whether a Docker Engine answers on `socket` within two seconds; `denied` when this user may not ask. */
export function ping(socket: string): Promise<'ok' | 'denied' | 'none'> {
  return new Promise((resolve) => {
    const signal = AbortSignal.timeout(2000);
    const asked = request({ socketPath: socket, path: '/_ping', signal }, (response) => {
      response.resume();
      resolve(response.statusCode === 200 ? 'ok' : 'none');
    });
    asked.on('error', (error: NodeJS.ErrnoException) =>
      resolve(error.code === 'EACCES' || error.code === 'EPERM' ? 'denied' : 'none'),
    );
    asked.end();
  });
}
