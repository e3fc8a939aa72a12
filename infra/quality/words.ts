import { parseSync } from 'vite';

/** Words that no declared name has as a part, each with what the project says instead (`docs/glossary.md`). */
const RETIRED_NAMES: Record<string, string> = {
  ahead: 'newer',
  anew: 'again',
  beside: 'alongside',
  broken: 'malformed, invalid, interrupted',
  bull: 'queue',
  cut: 'clipboard, truncated, interrupted',
  everything: 'all',
  hear: 'receive',
  heard: 'received',
  judge: 'check',
  lacking: 'needsKeyframe',
  law: 'invariant',
  lose: 'requireKeyframe',
  news: 'update',
  nobody: 'none',
  patient: 'queueing',
  said: 'message, answer, text',
  say: 'publish, report, send',
  says: 'reports',
  sight: 'observation',
  standing: 'status',
  tell: 'publish, notify, report',
  teller: 'JobEvents',
  told: 'published, reported',
  vain: '-',
  veil: 'overlay',
  whoever: '-',
  whole: 'complete, buffered',
  wish: 'marker, request',
};

/** Words that comments and documents do without; ordinary English stays. */
const RETIRED_PROSE =
  /\b(told|tells|telling|teller|heard|hears|said|anew|in vain|whoever|nobody|(?:hand|give)(?:s|ed)? back|handed back|given back|gave back|the way of an?|is had)\b/i;
/** A sentence with a question word for its subject. */
const QUESTION_SUBJECT = /^(?:What|Who|Whoever|Whatever|Nobody)\s+(?!do\b|does\b|is\b|are\b)[a-z]/;

type Node = { type: string; start: number; name?: string; computed?: boolean; [key: string]: unknown };

const partsOf = (name: string): string[] =>
  name
    .replace(/([a-z0-9])([A-Z])/g, '$1 $2')
    .toLowerCase()
    .split(/[^a-z0-9]+/);

const retiredPart = (name: string): string | undefined =>
  partsOf(name).find((part) => Object.hasOwn(RETIRED_NAMES, part));

/** RFB calls its message of the clipboard ClientCutText. */
const isOfRfb = (path: string, part: string): boolean =>
  part === 'cut' && path.startsWith('workers/screen/rfb/');

/** Where a node of the tree declares a name, seen from its parent. */
const declares = (key: string, parent: Node): boolean =>
  key === 'id' ||
  key === 'params' ||
  key === 'elements' ||
  (key === 'key' && !parent.computed && parent.type !== 'Property') ||
  (key === 'value' && parent.type === 'Property') ||
  (key === 'left' && parent.type === 'AssignmentPattern') ||
  (key === 'argument' && parent.type === 'RestElement');

function* declaredNames(node: unknown, parent: Node | undefined, key: string): Generator<string> {
  if (Array.isArray(node)) for (const one of node) yield* declaredNames(one, parent, key);
  if (typeof node !== 'object' || node === null || !('type' in node)) return;
  const own = node as Node;
  const isName = own.type === 'Identifier' || own.type === 'PrivateIdentifier';
  if (isName && parent && own.name && declares(key, parent)) yield own.name;
  for (const [name, child] of Object.entries(own)) yield* declaredNames(child, own, name);
}

/** @returns the retired words of a text's sentences, each with its sentence */
export const proseProblems = (text: string): string[] =>
  text
    .split(/(?<=[.:;!?])\s+/)
    .map((sentence) => sentence.trim())
    .filter((sentence) => QUESTION_SUBJECT.test(sentence) || RETIRED_PROSE.test(sentence));

/** @returns what a source file names or says in words that the project has replaced */
export function sourceProblems(path: string, code: string): string[] {
  const { program, comments } = parseSync(path, code);
  const names = new Set(declaredNames(program, undefined, ''));
  const prose = comments.map(({ value }) => value.replaceAll(/\n\s*\*? ?/g, ' '));
  return [
    ...[...names].flatMap((name) => {
      const part = retiredPart(name);
      return part && !isOfRfb(path, part) ? [`${name}: write ${RETIRED_NAMES[part]} for ${part}`] : [];
    }),
    ...prose.flatMap(proseProblems),
    ...prose
      .filter((text) => text.includes('→ ') && /^\*/.test(text))
      .map((text) => `write @returns: ${text}`),
  ];
}

/** @returns the retired word in a file's own name */
export const nameProblem = (path: string): string | undefined =>
  path
    .split('/')
    .map(retiredPart)
    .find((part) => part !== undefined);
