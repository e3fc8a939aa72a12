import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chmod, cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import manifest from '../../../package.json' with { type: 'json' };

type Result = { code: number; output: string };

function run(command: string, args: string[], cwd: string): Promise<Result> {
  return new Promise((resolve) => {
    execFile(command, args, { cwd, timeout: 20_000 }, (error, stdout, stderr) =>
      resolve({ code: error ? Number(error.code) : 0, output: stdout + stderr }),
    );
  });
}

describe('the setup', () => {
  it('does nothing and prints nothing where all is installed', async () => {
    for (const script of [['start.sh'], ['test.sh'], ['node.sh'], ['tools.sh', 'websockify']]) {
      const [file = '', ...more] = script;
      const done = await run('sh', [join(import.meta.dirname, file), ...more], tmpdir());
      expect(done).toEqual({ code: 0, output: '' });
    }
  });

  it('runs before every script of package.json, and names the tools that only one of them needs', () => {
    for (const [name, command] of Object.entries(manifest.scripts)) {
      const file = /^sh infra\/local\/setup\/(\w+\.sh)( [a-z]+)? && /.exec(command)?.[1] ?? 'none';
      expect(existsSync(join(import.meta.dirname, file)), `${name}: ${command}`).toBe(true);
    }
    expect(manifest.scripts['bench:screen']).toContain('tools.sh websockify &&');
  });

  it('names the remedy where it may not install', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'ww-setup-'));
    await chmod(folder, 0o755);
    await cp(import.meta.dirname, join(folder, 'infra/local/setup'), { recursive: true });
    const script =
      '. infra/local/setup/packages.sh; packages="no-such no-such-package a test"; install_debian_packages';
    const unprivileged = ['--reuid=65534', '--regid=65534', '--clear-groups'];
    const asked =
      process.getuid?.() === 0 ? ['setpriv', ...unprivileged, 'sh', '-c', script] : ['sh', '-c', script];
    const { code, output } = await run(asked[0] ?? '', asked.slice(1), folder);
    await rm(folder, { recursive: true });
    expect(code).toBe(1);
    expect(output).toContain('sudo apt-get install -y no-such-package');
  });
});
