import { createHash } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import type { EdgeBundle } from '../../edge/build.ts';

/** A program and how to run it. */
export type Command = { file: string; args: string[]; env: Record<string, string> };

/** The runtime's binary, of the release that Miniflare and wrangler bring. */
const require = createRequire(import.meta.url);
const { default: file } = require('workerd') as { default: string };

/**
 * The command that serves a bundled Worker with Cloudflare's own runtime. Its bindings are handed over in the
 * environment, so that no secret is written to a file. It answers SIGTERM by refusing new connections, ending the
 * requests it has, and exiting 0.
 */
export async function workerdCommand(
  bundle: EdgeBundle,
  bindings: Record<string, string>,
  address: { host: string; port: number },
): Promise<Command> {
  const config = configOf(bundle, Object.keys(bindings));
  const name = `worker-${createHash('sha1').update(config).digest('hex').slice(0, 12)}.capnp`;
  const path = join(bundle.dir, name);
  await writeFile(path, config);
  return {
    file,
    args: ['serve', path, `--socket-addr=http=${address.host}:${address.port}`],
    env: bindings,
  };
}

function configOf(bundle: EdgeBundle, variables: string[]): string {
  const quote = (text: string) => JSON.stringify(text);
  const modules = [
    `(name = ${quote(bundle.main)}, esModule = embed ${quote(bundle.main)})`,
    ...bundle.texts.map((path) => `(name = ${quote(path)}, text = embed ${quote(path)})`),
  ];
  const bindings = variables.map((name) => `(name = ${quote(name)}, fromEnvironment = ${quote(name)})`);
  return `using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [
    (name = "main", worker = (
      modules = [${modules.join(', ')}],
      compatibilityDate = ${quote(bundle.compatibilityDate)},
      compatibilityFlags = [${bundle.compatibilityFlags.map(quote).join(', ')}],
      bindings = [${bindings.join(', ')}],
    )),
    (name = "internet", network = (allow = ["public", "private"], tlsOptions = (trustBrowserCas = true))),
  ],
  sockets = [(name = "http", http = (), service = "main")],
);
`;
}
