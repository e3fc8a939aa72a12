import { stripVTControlCharacters } from 'node:util';
import { EXIT_OUTPUT_BYTES } from '@warmwind/shared/contract/containers';
import { endOfText } from '@warmwind/shared/runtime/end-of-text';
import { replaceAllLinear } from './replace-linear.ts';

/** A shorter value is no secret, and would leave nothing of the text. */
const SHORTEST_VALUE = 4;
/** The same for one line of a value of many. */
const SHORTEST_LINE = 8;
/** The longest lines of all values that are looked for on their own: one after the other, in the whole output. */
const MOST_LINES = 512;
/** As long as any value that it replaces or shorter, so that no text grows. */
const REDACTED = '***';
const FRAME_HEAD_BYTES = 8;
/** What is read of the output: more than is shown, as a value that was cut off at its beginning is not found. */
const READ_BYTES = 4 * EXIT_OUTPUT_BYTES;

/**
 * What secrets look like in any program's output. The output is hostile and is read on the main thread, so the time of
 * each pattern is linear: an attempt that fails has a bounded length, or no other begins within it.
 */
const SECRETS: readonly RegExp[] = [
  /-----BEGIN [A-Z ]{0,32}PRIVATE KEY-----[^-]*(-----END [A-Z ]{0,32}PRIVATE KEY-----)?/g,
  // Without its second part too: a run of such characters is then read once, whatever follows it.
  /\beyJ[\w-]{8,}(\.[\w-]*){0,4}/g,
  /\b(ww|sk|pk|rk|ghp|gho|ghs|github_pat|glpat|xox[abprs])[_-][\w-]{12,}/g,
  /\b(AKIA|ASIA)[A-Z0-9]{16}\b/g,
  /(?<=\b(bearer|basic) {1,4})[\w+/=.~-]{8,}/gi,
  /(?<=:\/\/[^\s/:@]{0,64}:)[^\s/@]{1,128}(?=@)/g,
  /(?<=\b(password|passwd|secret|token|api[_-]?key)["']?\s{0,4}[=:]\s{0,4}["']?)[^\s"',;&]{4,}/gi,
];

/**
 * Reads the end of what a container printed, as its owner may see it: at most 16 KB of text whose only control characters
 * are newlines and tabs, without the values of its environment and without what looks like a secret.
 *
 * @param log the engine's log of the container: frames of 8 bytes with a length, and the bytes
 * @param env the environment that the container's owner gave it
 */
export function lastOutput(log: Buffer, env: Readonly<Record<string, string>>): string {
  const text = clean(new TextDecoder().decode(unframe(log).subarray(-READ_BYTES)));
  return endOfText(redact(text, env), EXIT_OUTPUT_BYTES);
}

/** Removes escape sequences, control characters and those that change the direction of text. */
export const clean = (text: string): string =>
  stripVTControlCharacters(text)
    .replace(/\r\n?/g, '\n')
    .replace(/[^\P{Cc}\n\t]|[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]/gu, '');

function redact(text: string, env: Readonly<Record<string, string>>): string {
  const all = Object.values(env);
  const lines = byLength(all.flatMap(linesOf), SHORTEST_LINE).slice(0, MOST_LINES);
  const values = byLength([...all.flatMap(formsOf), ...lines], SHORTEST_VALUE);
  const withoutValues = values.reduce((rest, value) => replaceAllLinear(rest, value, REDACTED), text);
  return SECRETS.reduce((rest, secret) => rest.replace(secret, REDACTED), withoutValues);
}

/** Cleans values as the output is, each once, those of at least `shortest` characters, the longest first. */
const byLength = (values: readonly string[], shortest: number): string[] =>
  [...new Set(values.map(clean))]
    .filter((value) => value.length >= shortest)
    .sort((a, b) => b.length - a.length);

const linesOf = (value: string): string[] => value.split(/[\r\n]+/).map((line) => line.trim());

/** The forms in which programs print a value: as it is, without spaces around it, quoted, or encoded. */
function formsOf(value: string): string[] {
  const bytes = Buffer.from(value);
  return [
    value,
    value.trim(),
    JSON.stringify(value).slice(1, -1),
    encodeURIComponent(value.toWellFormed()),
    bytes.toString('base64').replace(/=+$/, ''),
    bytes.toString('base64url'),
    bytes.toString('hex'),
  ];
}

/** The bytes of the engine's frames, in order. A frame that is cut off counts as far as it is there. */
function unframe(log: Buffer): Buffer {
  const parts: Buffer[] = [];
  for (let at = 0; at + FRAME_HEAD_BYTES <= log.length; ) {
    const from = at + FRAME_HEAD_BYTES;
    const to = from + log.readUInt32BE(at + 4);
    parts.push(log.subarray(from, to));
    at = to;
  }
  return Buffer.concat(parts);
}
