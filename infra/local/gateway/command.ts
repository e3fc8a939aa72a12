import type { Limits } from './config.ts';
import { denialOf } from './denied.ts';
import { GatewayError } from './failure.ts';

/** A command as Redis gets it. `name` is upper case: under a lower-case one ioredis reshapes some replies. */
export type Command = {
  name: string;
  args: (string | Buffer)[];
  /** The answer in place of Redis's own reply, when there is no error. */
  reply?: Buffer;
};

const NAME = /^[A-Z][A-Z0-9._-]{0,63}$/;

/**
 * Parses a JSON array, or a request's path and body, as a command that may be sent.
 * @throws GatewayError with the reason
 */
export function parseCommand(input: unknown, limits: Limits): Command {
  if (!Array.isArray(input)) throw refused('a command is a JSON array such as ["SET", "key", "value"]');
  if (input.length === 0) throw refused('empty command');
  if (input.length - 1 > limits.args) {
    throw refused(`${input.length - 1} arguments; at most ${limits.args} are accepted`);
  }
  const [first, ...rest] = input as unknown[];
  const name = typeof first === 'string' ? first.toUpperCase() : '';
  if (!NAME.test(name) || isInherited(name)) throw refused('unknown command: no such command name');

  const command = { name, args: rest.map(parseArgument) };
  const reason = denialOf(command);
  if (reason) throw refused(`'${name}' is not available over REST here: ${reason}`);
  return command;
}

function parseArgument(value: unknown): string | Buffer {
  if (typeof value === 'string' || Buffer.isBuffer(value)) return value;
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  if (value === null) throw refused('null args are not supported');
  throw refused('an argument is a string, a number or a boolean; send objects as JSON text');
}

/** ioredis looks names up in plain objects, where `constructor` is found and taken for a command that disconnects. */
function isInherited(name: string): boolean {
  return name.toLowerCase() in Object.prototype;
}

function refused(message: string): GatewayError {
  return new GatewayError('refused', `ERR ${message}`);
}
