import { request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
import type { LookupFunction } from 'node:net';

/** Bytes of an answer's body that are read; only its status is used. */
const MAX_ANSWER_BYTES = 4096;

/**
 * POSTs JSON over a new connection, without following redirects.
 * @param lookup replaces that of the system
 * @returns the status of the answer
 * @throws when there is no answer before `signal` aborts
 */
export function post(
  url: URL,
  body: string,
  headers: Record<string, string>,
  signal: AbortSignal,
  lookup?: LookupFunction,
): Promise<number> {
  const request = url.protocol === 'https:' ? requestHttps : requestHttp;
  return new Promise((resolve, reject) => {
    const sent = request(url, {
      method: 'POST',
      headers: {
        'Content-Type': 'application/json',
        'Content-Length': `${Buffer.byteLength(body)}`,
        'User-Agent': 'Warmwind-Webhooks/1',
        ...headers,
      },
      agent: false,
      signal,
      ...(lookup ? { lookup } : {}),
    });
    let status: number | undefined;
    sent.once('response', (answer) => {
      status = answer.statusCode;
      let size = 0;
      answer.on('error', () => undefined);
      answer.on('data', (chunk: Buffer) => {
        size += chunk.length;
        if (size > MAX_ANSWER_BYTES) answer.destroy();
      });
    });
    sent.on('error', (error) => status === undefined && reject(error));
    sent.once('close', () => (status === undefined ? reject(new Error('closed')) : resolve(status)));
    sent.end(body);
  });
}
