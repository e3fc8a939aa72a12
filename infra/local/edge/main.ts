import { join } from 'node:path';
import { givenVariables, readEnv } from '@warmwind/shared/runtime/env';
import { createLog } from '@warmwind/shared/runtime/node/log';
import { z } from 'zod';
import { buildEdge, readBundle } from '../../../edge/build.ts';
import { readConfig } from '../../../edge/config.ts';
import { asBindings, hyperdriveUrls } from './hyperdrive.ts';
import { workerdCommand } from './workerd.ts';

/**
 * The edge as a process without Cloudflare: for the local stack and self-hosting. It bundles the Worker and
 * then becomes the runtime, so that a supervisor of this process supervises the edge itself.
 */
const Address = z.object({
  BIND: z.string().default('127.0.0.1'),
  PORT: z.coerce.number().int().min(1).max(65_535).default(8787),
  /** The folder of a finished bundle, if there is one. */
  EDGE_BUNDLE: z.string().optional(),
  /** The folder of the runtime's configuration, which holds passwords; the bundle's folder by default. */
  EDGE_CONFIG_DIR: z.string().optional(),
});
const given = givenVariables(process.env);
const { BIND: host, PORT: port, EDGE_BUNDLE: built, EDGE_CONFIG_DIR: configDir } = readEnv(Address, given);
const hyperdrives = hyperdriveUrls(given);
const names = Object.keys(readConfig({ ...given, ...asBindings(hyperdrives) }));
const bindings = Object.fromEntries(
  names.flatMap((name) => {
    const value = given[name];
    return value === undefined || name in hyperdrives ? [] : [[name, value]];
  }),
);

const bundle = built
  ? await readBundle(built)
  : await buildEdge(join(import.meta.dirname, '../../../edge/dist'));
const { file, args, env } = await workerdCommand({
  bundle,
  bindings,
  hyperdrives,
  address: { host, port },
  config: join(configDir ?? bundle.dir, `worker-${port}.capnp`),
});
createLog('edge').info({ bind: host, port }, 'starting the runtime');
process.execve?.(file, [file, ...args], env);
