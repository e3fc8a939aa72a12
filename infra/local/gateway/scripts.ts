import { hash } from 'node:crypto';
import type { Command } from './command.ts';

const UPSTASH_FLAG = 'allow-key-locking';

/**
 * Lets scripts written for Upstash run on stock Redis, which refuses a flag in their first line that only
 * Upstash knows (`#!lua flags=allow-key-locking`). The flag is removed, and the SHA that the client computes
 * of its own text is remembered as another name of the script that Redis has. The `capacity` last used names
 * are kept; for a forgotten one Redis answers NOSCRIPT, and clients then send the text again.
 */
export class Scripts {
  readonly #known = new Map<string, string>();
  readonly #capacity: number;

  constructor(capacity = 1000) {
    this.#capacity = capacity;
  }

  /** Translates a client's command to one for Redis. Commands without scripts stay unchanged. */
  translate(command: Command): Command {
    const { name, args } = command;
    if (name === 'EVALSHA' || name === 'EVALSHA_RO') return { name, args: args.map(this.#first) };
    if (name === 'EVAL' || name === 'EVAL_RO') return this.#evaluate(command);
    if (name !== 'SCRIPT') return command;
    const [subcommand = '', ...rest] = args;
    if (subcommand.toString().toUpperCase() === 'LOAD') return this.#load(command);
    return { name, args: [subcommand, ...rest.map((sha) => this.#shaFor(sha))] };
  }

  #evaluate(command: Command): Command {
    const [script = '', ...rest] = command.args;
    const stripped = stripFlag(script);
    if (stripped === script) return command;
    this.#remember(sha1(script), sha1(stripped));
    return { name: command.name, args: [stripped, ...rest] };
  }

  #load(command: Command): Command {
    const [subcommand = '', script = '', ...rest] = command.args;
    const stripped = stripFlag(script);
    if (stripped === script) return command;
    const sha = sha1(script);
    this.#remember(sha, sha1(stripped));
    return { name: command.name, args: [subcommand, stripped, ...rest], reply: Buffer.from(sha) };
  }

  readonly #first = (arg: string | Buffer, index: number): string | Buffer =>
    index === 0 ? this.#shaFor(arg) : arg;

  #shaFor(given: string | Buffer): string | Buffer {
    const sha = given.toString().toLowerCase();
    const real = this.#known.get(sha);
    if (real === undefined) return given;
    this.#remember(sha, real);
    return real;
  }

  #remember(sha: string, real: string): void {
    this.#known.delete(sha);
    this.#known.set(sha, real);
    const oldest = this.#known.keys().next();
    if (this.#known.size > this.#capacity && !oldest.done) this.#known.delete(oldest.value);
  }
}

function stripFlag(script: string | Buffer): string | Buffer {
  const text = script.toString();
  if (!text.startsWith('#!')) return script;
  const end = text.indexOf('\n');
  const line = end < 0 ? text : text.slice(0, end);
  if (!line.includes(UPSTASH_FLAG)) return script;
  return line.replace(/ flags=(\S*)/, withoutFlag) + text.slice(line.length);
}

function withoutFlag(_match: string, flags: string): string {
  const others = flags.split(',').filter((flag) => flag !== UPSTASH_FLAG);
  return others.length === 0 ? '' : ` flags=${others.join(',')}`;
}

function sha1(script: string | Buffer): string {
  return hash('sha1', script, 'hex');
}
