import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { access, constants, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { findTool, installCommand } from '../../local/stack/tools.ts';

const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg';
const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

type Options = {
  /** Debian's name of the release, such as `trixie`. */
  suite: string;
  packages: string[];
  /** The keys that must have signed the mirror's lists. */
  keyring?: string;
  /** The mirror of packages; by default the one of this machine's apt. */
  mirror?: string;
  /** Called for each step that debootstrap reports, with how many there were so far. */
  onStep: (step: string, count: number) => void;
  signal: AbortSignal;
  /** Takes the file system as a tar stream. */
  consume: (tar: Readable) => Promise<void>;
};

/**
 * A minimal Debian with `packages`, from the mirror that this machine's apt is configured for. Needs root and
 * debootstrap. Lists of packages without a valid signature are refused. It works in a mount namespace of its own, so that
 * nothing stays mounted if it is killed.
 */
export async function debootstrap(options: Options): Promise<void> {
  const { suite, packages, keyring = KEYRING, onStep, signal, consume } = options;
  if (process.getuid?.() !== 0) {
    throw new Error(`debootstrap needs root: run this once as root, or \`docker pull debian:${suite}-slim\``);
  }
  if (!findTool('debootstrap')) {
    throw new Error(`debootstrap is missing: \`${installCommand('debootstrap')}\``);
  }
  await requireSignatures(keyring);
  const mirror = await aptMirrors();
  mirror.main = options.mirror ?? mirror.main;
  const folder = await mkdtemp('/var/tmp/warmwind-base-');
  try {
    const args = [
      '--variant=minbase',
      `--include=${packages.join(',')}`,
      `--keyring=${keyring}`,
      '--force-check-gpg',
      suite,
      folder,
      mirror.main,
    ];
    await run(['unshare', '--mount', '--propagation', 'private', 'debootstrap', ...args], signal, onStep);
    await writeFile(
      join(folder, 'etc/apt/sources.list'),
      `deb ${mirror.main} ${suite} main\ndeb ${mirror.main} ${suite}-updates main\n` +
        `deb ${mirror.security} ${suite}-security main\n`,
    );
    onStep('handing over to Docker', 0);
    await pack(folder, signal, consume);
  } finally {
    await rm(folder, { recursive: true, force: true, maxRetries: 3 });
  }
}

/** Without its keyring, or without gpgv, debootstrap would accept anything that a mirror serves. */
async function requireSignatures(keyring: string): Promise<void> {
  const readable = await access(keyring, constants.R_OK).then(
    () => true,
    () => false,
  );
  const missing = [
    ...(readable ? [] : ['debian-archive-keyring']),
    ...(findTool('gpgv') ? [] : ['gpgv']),
  ].join(' ');
  if (missing) {
    throw new Error(`packages can't be verified (keyring ${keyring}, gpgv): \`${installCommand(missing)}\``);
  }
}

async function run(
  [command = '', ...args]: string[],
  signal: AbortSignal,
  onStep: Options['onStep'],
): Promise<void> {
  const child = spawn(command, args, {
    env: { ...process.env, PATH, LC_ALL: 'C', DEBIAN_FRONTEND: 'noninteractive' },
    stdio: ['ignore', 'pipe', 'ignore'],
    detached: true,
  });
  // Its own process group: an abort ends everything that debootstrap has started.
  const stop = () => {
    if (child.pid) process.kill(-child.pid, 'SIGKILL');
  };
  signal.addEventListener('abort', stop, { once: true });
  const ended = once(child, 'close') as Promise<[number | null]>;
  ended.catch(() => undefined);
  const last: string[] = [];
  let count = 0;
  for await (const line of createInterface({ input: child.stdout })) {
    last.push(line);
    if (last.length > 5) last.shift();
    if (line.startsWith('I: ')) onStep(line.slice(3, 90).toLowerCase(), ++count);
  }
  const [code] = await ended.finally(() => signal.removeEventListener('abort', stop));
  if (signal.aborted)
    throw new Error('debootstrap took too long: is the package mirror slow or out of reach?');
  if (code !== 0) throw new Error(`debootstrap failed: ${last.join(' | ').slice(0, 600)}`);
}

async function pack(folder: string, signal: AbortSignal, consume: Options['consume']): Promise<void> {
  const tar = spawn('tar', ['--numeric-owner', '--one-file-system', '-C', folder, '-c', '.'], {
    stdio: ['ignore', 'pipe', 'ignore'],
    signal,
  });
  const ended = once(tar, 'close') as Promise<[number | null]>;
  const [, [code]] = await Promise.all([consume(tar.stdout), ended]);
  if (code !== 0) throw new Error('tar could not read the new file system');
}

type Mirrors = { main: string; security: string };

/** The Debian mirrors named in this machine's apt sources, else Debian's own. */
async function aptMirrors(): Promise<Mirrors> {
  const found: Mirrors = { main: '', security: '' };
  for (const text of await aptSources()) {
    for (const { uri, suites } of entries(text)) {
      if (!/^https?:\/\/\S+\/debian(-security)?\/?$/.test(uri)) continue;
      if (suites.some((suite) => suite.endsWith('-security'))) found.security ||= uri;
      else found.main ||= uri;
    }
  }
  return {
    main: found.main || 'http://deb.debian.org/debian',
    security: found.security || 'http://deb.debian.org/debian-security',
  };
}

async function aptSources(): Promise<string[]> {
  const folder = '/etc/apt/sources.list.d';
  const names = (await readdir(folder).catch(() => [])).filter((name) => /\.(list|sources)$/.test(name));
  const paths = ['/etc/apt/sources.list', ...names.map((name) => join(folder, name))];
  return Promise.all(paths.map((path) => readFile(path, 'utf8').catch(() => '')));
}

/** Both of apt's forms: `deb [options] URI suite components` lines, and stanzas of `URIs:` and `Suites:`. */
function entries(text: string): { uri: string; suites: string[] }[] {
  const lines = [...text.matchAll(/^deb\s+(?:\[[^\]]*\]\s+)?(\S+)\s+(\S+)/gm)];
  const stanzas = text.split(/\n\s*\n/).map((stanza) => ({
    uri: /^URIs:\s*(\S+)/m.exec(stanza)?.[1] ?? '',
    suites: /^Suites:\s*(.+)$/m.exec(stanza)?.[1]?.split(/\s+/) ?? [],
  }));
  return [...lines.map(([, uri = '', suite = '']) => ({ uri, suites: [suite] })), ...stanzas];
}
