import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createStack, type TestStack } from '../e2e/stack.ts';
import { ENGINE_WITHIN_MS, startEngine } from '../testing/docker.ts';
import { ROOT } from './reference.ts';
import { type Snippet, snippetsOf } from './snippets.ts';

const SNIPPET_WITHIN_MS = 60_000;

let stack: TestStack;
/** The folder in which the guides' commands run. */
let folder: string;

beforeAll(async () => {
  await startEngine();
  stack = createStack({ RATE_LIMITS: '{"user": [], "ip": [], "containers.start": []}' });
  folder = mkdtempSync(join(tmpdir(), 'warmwind-docs-'));
  symlinkSync(stack.dir, join(folder, '.warmwind'));
  await stack.start();
}, ENGINE_WITHIN_MS);
afterAll(async () => {
  await stack?.remove();
  if (folder) rmSync(folder, { recursive: true });
}, 90_000);

/** Runs a program to its end with `input`; rejects with its output when it fails. */
function run(command: string, args: string[], cwd: string, input: string): Promise<string> {
  const { edge, tokens } = stack.file();
  const env = { ...process.env, EDGE: edge, TOKEN: tokens.user, STACK: join(stack.dir, 'stack.json') };
  return new Promise((resolve, reject) => {
    const child = execFile(
      command,
      args,
      { cwd, env, timeout: SNIPPET_WITHIN_MS },
      (error, stdout, stderr) =>
        error ? reject(new Error(`${error.message}\n${stdout}\n${stderr}`)) : resolve(stdout),
    );
    child.stdin?.end(input);
  });
}

/** TypeScript resolves packages from its folder: those of this checkout. */
const runs = {
  ts: (code: string) =>
    run(process.execPath, ['--input-type=module-typescript', '-'], join(ROOT, 'infra'), code),
  sh: (code: string) => run('sh', ['-eu', '-c', code], folder, ''),
};

const guides = readdirSync(join(ROOT, 'docs/guides')).filter((name) => name.endsWith('.md'));
const snippets = guides.flatMap(snippetsOf);
const [setup] = snippetsOf('quickstart.md');

/** Joins the shell blocks of a guide, after the first ones of the quickstart. */
const scriptOf = (guide: string): string => {
  const own = snippetsOf(guide).filter(({ language }) => language === 'sh');
  return [...(guide === 'quickstart.md' ? [] : [setup]), ...own].map((block) => block?.code).join('\n');
};

const shells = guides.filter((guide) => snippetsOf(guide).some(({ language }) => language === 'sh'));
it.each(shells)(
  'the commands of %s run without an error answer',
  { timeout: 2 * SNIPPET_WITHIN_MS },
  async (guide) => {
    expect(await runs.sh(scriptOf(guide))).not.toMatch(/"statusCode"/);
  },
);

const programs = snippets.filter(({ language }) => language === 'ts');
it.each(programs.map((program): [string, Snippet] => [`${program.guide}:${program.line}`, program]))(
  'the program at %s runs to its end and prints something',
  { timeout: 2 * SNIPPET_WITHIN_MS },
  async (_, { code }) => {
    expect((await runs.ts(code)).trim()).not.toBe('');
  },
);
