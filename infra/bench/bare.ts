import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { EdgeBundle } from '../../edge/build.ts';
import { type RunningEdge, startEdge } from '../edge/serve.ts';
import type { Trip } from './recorder.ts';

/**
 * A Worker that takes a request and makes the REST trips of one recorded submission, with fresh ids each time, and
 * nothing else: the floor that the edge's own work is measured against.
 */
const SOURCE = /* js */ `
const hex = (text) => [...text].map((c) => c.charCodeAt(0).toString(16)).join('');
let recorded;
export default {
  async fetch(request, env) {
    await request.text();
    recorded ??= { trips: JSON.parse(env.TRIPS), ids: JSON.parse(env.IDS) };
    const fresh = recorded.ids.map((id) => [id, crypto.randomUUID()]);
    for (const { path, body } of recorded.trips) {
      let sent = body;
      for (const [old, id] of fresh) sent = sent.replaceAll(old, id).replaceAll(hex(old), hex(id));
      const response = await fetch(env.REST_URL + path, {
        method: 'POST',
        headers: { authorization: 'Bearer ' + env.REST_TOKEN, 'content-type': 'application/json' },
        body: sent,
      });
      const answer = await response.json();
      if (!response.ok) return Response.json(answer, { status: 500 });
    }
    return Response.json({ jobId: fresh[0][1] }, { status: 202 });
  },
};
`;

const UUID = /[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g;

/** Runs it in the edge's runtime, with the edge's compatibility settings. */
export async function startBare(
  like: EdgeBundle,
  trips: Trip[],
  rest: { url: string; token: string },
): Promise<RunningEdge> {
  const dir = await mkdtemp(join(tmpdir(), 'warmwind-bench-'));
  await writeFile(join(dir, 'main.js'), SOURCE);
  const ids = [...new Set(trips.flatMap(({ body }) => body.match(UUID) ?? []))];
  const bindings = {
    TRIPS: JSON.stringify(trips),
    IDS: JSON.stringify(ids),
    REST_URL: rest.url,
    REST_TOKEN: rest.token,
  };
  return startEdge({ bundle: { ...like, dir, main: 'main.js', texts: [] }, bindings });
}
