import { execFile } from 'node:child_process';
import { chmod, cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { withLock } from '../../local/engine/lock.ts';
import { runSst } from './cli.ts';
import { startCloud } from './cloud.ts';
import { ensurePlatform, ROOT } from './platform.ts';
import { Recorded, type Resource } from './record.ts';

const run = promisify(execFile);

/** Replaces a text in one file of the tree. */
export type Edit = { file: string; from: string; to: string };

/** The files of the repository that a deployment reads. */
const SOURCES = [
  'sst.config.ts',
  'package.json',
  'tsconfig.json',
  '.dockerignore',
  'infra',
  'edge',
  'shared',
];
const DIFF_WITHIN_MS = 300_000;
/** A first `Tree` waits for `sst install`. */
export const PLATFORM_WITHIN_MS = 300_000;
/** Values of secrets, which may appear only where a secret may be. */
export const SECRETS = {
  WebhookSecret: 'webhook-SECRET-0123456789-0123456789',
  AuthSecret: 'auth-SECRET-0123456789-0123456789-01',
  AlertWebhookUrl: 'https://alerts.warmwind.test/SECRET',
  AlarmEmail: 'ops@warmwind.test',
};

/** A copy of the repository in which the real CLI works, with our engine in the place of Pulumi's. */
export class Tree {
  readonly root: string;

  private constructor(root: string) {
    this.root = root;
  }

  static async create(): Promise<Tree> {
    await ensurePlatform();
    const root = await mkdtemp(join(tmpdir(), 'warmwind-sst-'));
    const into = (path: string) => join(root, path);
    for (const source of SOURCES) await cp(join(ROOT, source), into(source), { recursive: true });
    await symlink(join(ROOT, 'node_modules'), into('node_modules'));
    // A copy except for the large node_modules: the CLI runs scripts by their real paths.
    await mkdir(into('.sst/platform'), { recursive: true });
    await cp(join(ROOT, '.sst/platform'), into('.sst/platform'), {
      recursive: true,
      filter: (path) => !path.endsWith('platform/node_modules'),
    });
    await symlink(join(ROOT, '.sst/platform/node_modules'), into('.sst/platform/node_modules'));
    for (const file of ['esbuild.json', 'provider-lock.json']) {
      await cp(join(ROOT, '.sst', file), into(`.sst/${file}`));
    }
    // The Worker is bundled once for all diffs of this tree.
    await run(process.execPath, [join(ROOT, 'infra/local/edge/bundle.ts'), into('edge/dist')]);
    const manifest = JSON.parse(await readFile(into('package.json'), 'utf8')) as { scripts: object };
    manifest.scripts = { ...manifest.scripts, 'build:edge': 'true' };
    await writeFile(into('package.json'), JSON.stringify(manifest));
    const engine = join(import.meta.dirname, 'engine.mjs');
    const stub = into('.cli/sst/bin/pulumi');
    await mkdir(into('.cli/sst/bin'), { recursive: true });
    await writeFile(
      stub,
      `#!/bin/sh\nexec '${process.execPath}' '${engine}' "$@" >'${root}/engine.log' 2>&1\n`,
    );
    await chmod(stub, 0o755);
    return new Tree(root);
  }

  /**
   * The real `sst diff` of a stage, with `edits` in place while it runs.
   * @throws Error with the output when it fails
   */
  diff(stage: string, edits: Edit[] = []): Promise<Recorded> {
    // The CLI chooses its port.
    return withLock('sst-diff', DIFF_WITHIN_MS, async () => {
      const undo = await this.#edit(edits);
      const cloud = await startCloud();
      const record = join(this.root, `record-${stage}.json`);
      await rm(record, { force: true });
      try {
        const { output } = await runSst(['diff', '--stage', stage], {
          root: this.root,
          config: join(this.root, '.cli'),
          env: {
            AWS_ENDPOINT_URL: cloud.url,
            CLOUDFLARE_API_BASE_URL: cloud.url,
            ROOT: this.root,
            RECORD: record,
            SST_STAGE: stage,
            ...Object.fromEntries(
              Object.entries(SECRETS).map(([name, value]) => [`SST_SECRET_${name}`, value]),
            ),
          },
        });
        const text = await readFile(record, 'utf8').catch(() => undefined);
        if (text === undefined) throw new Error(`sst diff came to no engine:\n${output}`);
        const { resources, failure } = JSON.parse(text) as { resources: Resource[]; failure?: string };
        if (failure) throw new Error(failure);
        return new Recorded(stage, resources);
      } finally {
        cloud.stop();
        await undo();
      }
    });
  }

  async #edit(edits: Edit[]): Promise<() => Promise<void>> {
    const before = new Map<string, string>();
    for (const { file, from, to } of edits) {
      const path = join(this.root, file);
      const text = await readFile(path, 'utf8');
      if (!text.includes(from)) throw new Error(`${file} has no ${from}`);
      if (!before.has(path)) before.set(path, text);
      await writeFile(
        path,
        text.replace(from, () => to),
      );
    }
    return async () => {
      for (const [path, text] of before) await writeFile(path, text);
    };
  }

  remove(): Promise<void> {
    return rm(this.root, { recursive: true, force: true });
  }
}
