import { rename, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import type { EdgeBundle } from '../../../edge/build.ts';
import { type Hyperdrive, parseHyperdrive } from './hyperdrive.ts';

/** A program and how to run it. */
export type Command = { file: string; args: string[]; env: Record<string, string> };

export type WorkerdOptions = {
  bundle: EdgeBundle;
  /** The Worker's variables and secrets. */
  bindings: Record<string, string>;
  /** The Worker's Hyperdrive bindings: `postgres://` URLs by name. */
  hyperdrives: Record<string, string>;
  address: { host: string; port: number };
  /** The configuration's path, in a folder where no other user may write; an existing file is replaced. */
  config: string;
};

/** The runtime's binary, of the release that Miniflare and wrangler bring. */
const require = createRequire(import.meta.url);
const { default: file } = require('workerd') as { default: string };

/**
 * The command that serves a bundled Worker with Cloudflare's own runtime. The Worker's variables are passed
 * in the environment, so that none of its secrets is written to a file. A Hyperdrive binding's password must
 * be in the configuration, which only its owner can read. The runtime answers SIGTERM by refusing new
 * connections, ending the requests it has, and exiting 0.
 */
export async function workerdCommand(options: WorkerdOptions): Promise<Command> {
  const { bundle, bindings, hyperdrives, address } = options;
  const databases = Object.entries(hyperdrives).map(
    ([name, url]) => [name, parseHyperdrive(name, url)] as const,
  );
  // An existing file would keep its mode: a new one replaces it.
  const aside = `${options.config}.${process.pid}`;
  await writeFile(aside, configOf(bundle, Object.keys(bindings), databases), { mode: 0o600 });
  await rename(aside, options.config);
  return {
    file,
    args: [
      'serve',
      options.config,
      `--import-path=${bundle.dir}`,
      `--socket-addr=http=${address.host}:${address.port}`,
    ],
    env: bindings,
  };
}

function configOf(
  bundle: EdgeBundle,
  variables: string[],
  databases: (readonly [name: string, database: Hyperdrive])[],
): string {
  const quote = (text: string) => JSON.stringify(text);
  // From the root of the import path, which is the bundle's folder.
  const embed = (path: string) => `embed ${quote(`/${path}`)}`;
  const modules = [
    `(name = ${quote(bundle.main)}, esModule = ${embed(bundle.main)})`,
    ...bundle.texts.map((path) => `(name = ${quote(path)}, text = ${embed(path)})`),
  ];
  const bindings = [
    ...variables.map((name) => `(name = ${quote(name)}, fromEnvironment = ${quote(name)})`),
    ...databases.map(([name, { database, user, password, scheme }]) => {
      const fields = Object.entries({ database, user, password, scheme });
      const texts = fields.map(([field, value]) => `${field} = ${quote(value)}`);
      return `(name = ${quote(name)}, hyperdrive = (designator = ${quote(name)}, ${texts.join(', ')}))`;
    }),
  ];
  const services = databases.map(
    ([name, { address }]) => `(name = ${quote(name)}, external = (address = ${quote(address)}, tcp = ()))`,
  );
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
    ${services.join(',\n    ')}
  ],
  sockets = [(name = "http", http = (), service = "main")],
);
`;
}
