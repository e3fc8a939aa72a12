import { execFileSync } from 'node:child_process';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { StoredEvent } from '@warmwind/shared/contract/events';
import { LIMIT_SCOPES } from '@warmwind/shared/contract/limits';
import { JOB_KINDS } from '@warmwind/shared/contract/registry';
import { SESSION_COMMANDS } from '@warmwind/shared/contract/sessions/registry';
import { CLIENT_EVENTS, RELAY_EVENTS } from '@warmwind/shared/contract/socket';
import { WebhookEvent } from '@warmwind/shared/contract/webhook-events';
import { ROOT } from './reference.ts';

const tracked = execFileSync('git', ['ls-files'], { cwd: ROOT, encoding: 'utf8' })
  .split('\n')
  .filter(Boolean);

/** Every document of the project except generated ones. */
export const DOCUMENTS = tracked.filter(
  (path) => path.endsWith('.md') && !path.startsWith('docs/reference/'),
);
const SOURCES = /\.(ts|tsx|mjs|sh|sql|json|jsonc|yaml|example|conf|css|txt)$|\/Dockerfile$/;
const source = tracked
  .filter(
    (path) =>
      SOURCES.test(path) &&
      path !== 'package-lock.json' &&
      !path.startsWith('infra/quality/docs/') &&
      existsSync(join(ROOT, path)),
  )
  .map((path) => readFileSync(join(ROOT, path), 'utf8'))
  .join('\n');

/** Every word of the code and its configuration. */
const words = new Set(source.match(/[A-Za-z_$][\w$]*/g));
/** Every path in a route or a request, with `{}` for its parameters. */
const routes = new Set(
  Array.from(source.matchAll(/["'`](\/[\w\-/.:{}$()]*)/g), ([, path = '']) => withoutNames(path)),
);
const events = new Set<string>([
  ...StoredEvent.options.map(({ shape }) => shape.type.value),
  ...WebhookEvent.options.map(({ shape }) => shape.type.value),
  ...Object.keys(CLIENT_EVENTS),
  ...Object.keys(RELAY_EVENTS),
  ...JOB_KINDS,
  ...SESSION_COMMANDS.map(({ kind }) => kind),
  ...LIMIT_SCOPES,
]);
const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
  scripts: Record<string, string>;
};

/** `/jobs/<jobId>/events` and `/jobs/:id/events` as `/jobs/{}/events`; without a query. */
function withoutNames(path: string): string {
  return path
    .replace(/\?.*$/, '')
    .replace(/\$?\{[^}]*\}|:[a-z]\w*|<[^>]*>/gi, '{}')
    .replace(/(?<=.)\/$/, '');
}

const TOP = new Set(tracked.map((path) => path.split('/')[0] ?? ''));
const isPath = (text: string): boolean =>
  /^[\w.@*-]+(\/[\w.@*-]+)*\/?$/.test(text) &&
  ((TOP.has(text.split('/')[0] ?? '') && text.includes('/')) || /\.(ts|tsx|mjs|sh|sql|yaml|md)$/.test(text));

/** Whether a path exists from the checkout's root or from the folder of its document. */
function pathExists(text: string, document: string): boolean {
  const from = [ROOT, join(ROOT, dirname(document))];
  return from.some((base) =>
    text.includes('*') ? globSync(text, { cwd: base }).length > 0 : existsSync(join(base, text)),
  );
}

/** Names of other projects. */
const FOREIGN = /^(pg_restore|evicted_keys|run_id|moveToFinished|LlamaCompletion)$/;

/** @returns the problem of a name in backticks; `undefined` for none, or when it is not a name */
function problemOf(text: string, document: string): string | undefined {
  const [, method, route] = /^(GET|POST|PUT|DELETE) (\/\S*)$/.exec(text) ?? [];
  if (method && route) return routes.has(withoutNames(route)) ? undefined : 'no such route';
  if (isPath(text)) return pathExists(text, document) ? undefined : 'no such file';
  if (/^(job|container|containers|alert)\.[a-z_]+$|^(vnc|relay|session|tty):[A-Za-z]+$/.test(text)) {
    return events.has(text) ? undefined : 'no such event';
  }
  const [name = ''] = text.split(/[=:({]/);
  const isName = /^[A-Z][A-Z0-9]*(_[A-Z0-9]+)+$|^[a-z][a-z0-9]*(_[a-z0-9]+)+$|^[A-Za-z]+[a-z][A-Z]\w*$/.test(
    name,
  );
  return isName && !words.has(name) && !FOREIGN.test(name) ? 'no such name in the code' : undefined;
}

/** The anchors of a document's headings, as GitHub makes them. */
const anchors = (text: string): string[] =>
  Array.from(text.matchAll(/^#+ (.*)$/gm), ([, heading = '']) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  );

function linkProblem(target: string, document: string): string | undefined {
  if (/^[a-z]+:/.test(target)) return undefined;
  const [path = '', anchor] = target.split('#');
  const file = path === '' ? document : normalize(join(dirname(document), path));
  if (!existsSync(join(ROOT, file))) return 'no such file';
  if (anchor === undefined) return undefined;
  return anchors(readFileSync(join(ROOT, file), 'utf8')).includes(anchor) ? undefined : 'no such heading';
}

/** @returns a document without its blocks of code, with the same line numbers */
const prose = (text: string): string => text.replace(/^```.*?^```/gms, (block) => block.replace(/.*/g, ''));

/** @returns each name and link of a document that does not exist, as `line: name: problem` */
export function problemsOf(document: string, text: string): string[] {
  const lines = prose(text).split('\n');
  return lines
    .flatMap((line, i) => {
      const names = Array.from(line.matchAll(/`([^`]+)`/g), ([, name = '']) => ({
        name,
        problem: problemOf(name, document),
      }));
      const links = Array.from(line.matchAll(/\]\(([^)\s]+)\)/g), ([, name = '']) => ({
        name,
        problem: linkProblem(name, document),
      }));
      return [...names, ...links].flatMap(({ name, problem }) =>
        problem ? [`${i + 1}: ${name}: ${problem}`] : [],
      );
    })
    .concat(
      Array.from(text.matchAll(/npm run ([\w:-]+)/g), ([, script = '']) => script)
        .filter((script) => !(script in scripts))
        .map((script) => `npm run ${script}: no such script`),
    );
}

/** @returns the sentences of a document, except questions, that begin with a word that names no subject */
export const vagueSentences = (text: string): string[] =>
  Array.from(
    prose(text).matchAll(/(?:^|[.!?:] |^[-|] |\| )\**(?:What|Who|Whoever|Nobody) [^.?|\n]*(?![^.|\n]*\?)/gm),
    ([sentence]) => sentence.trim(),
  );
