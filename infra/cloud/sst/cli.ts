import { spawn } from 'node:child_process';
import { delimiter, join } from 'node:path';

type Options = {
  /** The folder with sst.config.ts. */
  root: string;
  /** The CLI's own folder: it runs the engine that it finds there in `sst/bin/pulumi`. */
  config: string;
  env?: Record<string, string>;
};

const WITHIN_MS = 240_000;

/** No account, no telemetry, no check for newer engines. */
const OFFLINE = {
  AWS_ACCESS_KEY_ID: 'none',
  AWS_SECRET_ACCESS_KEY: 'none',
  AWS_EC2_METADATA_DISABLED: 'true',
  AWS_REGION: 'us-east-1',
  CI: '1',
  CLOUDFLARE_API_TOKEN: 'none',
  CLOUDFLARE_DEFAULT_ACCOUNT_ID: 'account',
  NO_BUN: '1',
  SST_NO_CLEANUP: '1',
  SST_OFFLINE: '1',
  SST_SKIP_DEPENDENCY_CHECK: '1',
  SST_STAGE: 'dev',
  SST_TELEMETRY_DISABLED: '1',
  UPSTASH_API_KEY: 'none',
  UPSTASH_EMAIL: 'none@warmwind.test',
  WARMWIND_DOMAIN: 'warmwind.test',
};

/**
 * Runs the real `sst`.
 * @returns its exit code and its output
 */
export async function runSst(
  args: string[],
  { root, config, env }: Options,
): Promise<{ code: number | null; output: string }> {
  const bin = join(import.meta.dirname, '../../../node_modules/.bin');
  const child = spawn(join(bin, 'sst'), args, {
    cwd: root,
    env: {
      ...process.env,
      ...OFFLINE,
      PATH: `${bin}${delimiter}${process.env.PATH}`,
      XDG_CONFIG_HOME: config,
      ...env,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: WITHIN_MS,
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output = (output + text).slice(-20_000);
    });
  }
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  return { code, output };
}
