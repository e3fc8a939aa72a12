import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Log, LogLevel, Miniflare } from 'miniflare';
import { parseHyperdrive } from './hyperdrive.ts';
import type { RunningEdge, ServeOptions } from './serve.ts';

export type MiniflareOptions = ServeOptions & {
  /** The folder of the static files that are served before the Worker is asked. */
  assets?: string;
};

/**
 * Runs a bundled Worker in Miniflare, as it would run on Cloudflare with these variables, secrets and
 * Hyperdrive bindings.
 * @throws Error when it does not listen
 */
export async function startMiniflare(options: MiniflareOptions): Promise<RunningEdge> {
  const { assets, bundle, bindings, hyperdrives = {}, host = '127.0.0.1', port = 0, onLine } = options;
  // Refuses a URL that workerd refuses, with the same error.
  for (const [name, url] of Object.entries(hyperdrives)) parseHyperdrive(name, url);
  const contents = async (name: string) => readFile(join(bundle.dir, name), 'utf8');
  const texts = await Promise.all(
    bundle.texts.map(
      async (name) => [name, { type: 'text' as const, contents: await contents(name) }] as const,
    ),
  );
  const main = { type: 'esm' as const, contents: await contents(bundle.main) };
  const variables = Object.entries(bindings).map(
    ([name, value]) => [name, { type: 'text' as const, value }] as const,
  );
  const databases = Object.entries(hyperdrives).map(
    ([name, connectionString]) =>
      [name, { type: 'hyperdrive' as const, id: name, dev: { connectionString } }] as const,
  );

  const miniflare = new Miniflare({
    host,
    port,
    log: new Log(LogLevel.NONE),
    handleStructuredLogs: ({ message }) => onLine?.(message),
    telemetry: { enabled: false },
    workers: [
      {
        config: {
          name: 'warmwind-edge',
          compatibilityDate: bundle.compatibilityDate,
          compatibilityFlags: bundle.compatibilityFlags,
          manifest: {
            mainModule: bundle.main,
            modules: { [bundle.main]: main, ...Object.fromEntries(texts) },
          },
          ...(assets ? { assets: { directory: assets, hasUserWorker: true } } : {}),
          env: { ...Object.fromEntries(variables), ...Object.fromEntries(databases) },
        },
      },
    ],
  });
  const { origin } = await miniflare.ready;
  return { url: origin, stop: () => miniflare.dispose() };
}
