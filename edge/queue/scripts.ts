import { Buffer } from 'node:buffer';
import { createHash } from 'node:crypto';
import type { Command } from './transport.ts';

type Script = { keys: number; lua: string; sha?: string };

/**
 * JSON carries no bytes, and BullMQ passes msgpack to its scripts. Such arguments travel as hex; the last
 * argument lists their positions, and this prefix of every script decodes them.
 */
const DECODE = `for place in string.gmatch(table.remove(ARGV), '%d+') do
  place = tonumber(place)
  ARGV[place] = string.gsub(ARGV[place], '..', function(byte) return string.char(tonumber(byte, 16)) end)
end
`;

const toHex = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex');

/** BullMQ's Lua scripts by name, and the commands that run them. */
export class Scripts {
  readonly #scripts = new Map<string, Script>();

  define(name: string, { numberOfKeys, lua }: { numberOfKeys: number; lua: string }): void {
    this.#scripts.set(name, { keys: numberOfKeys, lua: DECODE + lua });
  }

  /** Builds the command that runs `name`: by its hash, or, if `complete`, with its source. */
  command(name: string, args: unknown[], complete: boolean): Command {
    const script = this.#scripts.get(name);
    if (!script) throw new TypeError(`there is no script ${name}`);
    const values = args.length === 1 && Array.isArray(args[0]) ? (args[0] as unknown[]) : args;
    const binary: number[] = [];
    const encoded = values.map((value, i) => {
      if (!(value instanceof Uint8Array)) return value === null || value === undefined ? '' : String(value);
      binary.push(i - script.keys + 1);
      return toHex(value);
    });
    script.sha ??= createHash('sha1').update(script.lua).digest('hex');
    const head = complete ? ['EVAL', script.lua] : ['EVALSHA', script.sha];
    return [...head, script.keys, ...encoded, binary.join()];
  }
}
