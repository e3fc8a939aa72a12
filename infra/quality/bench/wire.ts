import { type AddressInfo, connect, createServer } from 'node:net';

/** A statement sent to PostgreSQL; without `params` for a simple query. */
export type Statement = { text: string; params?: (string | null)[] };

/** Starts a proxy between the edge and PostgreSQL that records the statements. */
export async function startWireRecorder(
  target: string,
): Promise<{ url: string; statements: Statement[]; stop: () => void }> {
  const statements: Statement[] = [];
  const { hostname, port } = new URL(target);
  const server = createServer((client) => {
    const upstream = connect(Number(port), hostname);
    const note = noteInto(statements);
    client.on('data', note);
    client.pipe(upstream).pipe(client);
    client.on('error', () => upstream.destroy());
    upstream.on('error', () => client.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = new URL(target);
  url.port = `${(server.address() as AddressInfo).port}`;
  return { url: url.href, statements, stop: () => server.close() };
}

/** Parses a client's messages after its start-up message: Query, or Parse and Bind. */
function noteInto(statements: Statement[]): (chunk: Buffer) => void {
  let rest = Buffer.alloc(0);
  let started = false;
  return (chunk) => {
    rest = Buffer.concat([rest, chunk]);
    for (;;) {
      const head = started ? 1 : 0;
      if (rest.length < head + 4) return;
      const length = head + rest.readInt32BE(head);
      if (rest.length < length) return;
      const type = started ? String.fromCharCode(rest[0] ?? 0) : '';
      const body = rest.subarray(head + 4, length);
      rest = rest.subarray(length);
      started = true;
      if (type === 'Q') statements.push({ text: textAt(body, 0) });
      else if (type === 'P') statements.push({ text: textAt(body, body.indexOf(0) + 1) });
      else if (type === 'B') {
        const last = statements.at(-1);
        if (last) last.params = paramsOf(body);
      }
    }
  };
}

const textAt = (body: Buffer, from: number): string => body.toString('utf8', from, body.indexOf(0, from));

/** Reads the values of a Bind message: after portal and statement names and the format of each value. */
function paramsOf(body: Buffer): (string | null)[] {
  let at = body.indexOf(0, body.indexOf(0) + 1) + 1;
  at += 2 + 2 * body.readInt16BE(at);
  const count = body.readInt16BE(at);
  at += 2;
  return Array.from({ length: count }, () => {
    const length = body.readInt32BE(at);
    at += 4;
    if (length < 0) return null;
    const value = body.toString('utf8', at, at + length);
    at += length;
    return value;
  });
}
