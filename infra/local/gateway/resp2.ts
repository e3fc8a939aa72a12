import type { Command } from './command.ts';
import type { Replied } from './execute.ts';

/** Commands whose reply `OK` is a status and no stored string; the reply alone does not show it. */
const STATUS_COMMANDS = new Set(
  (
    'SET SETEX PSETEX MSET HMSET LSET LTRIM RENAME TYPE PFMERGE RESTORE XGROUP XSETID MEMORY ' +
    'EVAL EVALSHA EVAL_RO EVALSHA_RO FCALL FCALL_RO JSON.SET JSON.MSET'
  ).split(' '),
);

/** Replies as Redis itself would send them over TCP (RESP2), one after another. */
export function encodeResp2(replies: { command: Command | undefined; replied: Replied }[]): Buffer {
  const parts: Buffer[] = [];
  for (const { command, replied } of replies) {
    if ('error' in replied) parts.push(line('-', replied.error.replaceAll(/[\r\n]+/g, ' ')));
    else if (isStatus(command, replied.reply)) parts.push(line('+', replied.reply));
    else encode(replied.reply, parts);
  }
  return Buffer.concat(parts);
}

function isStatus(command: Command | undefined, reply: unknown): reply is Buffer {
  if (!command || !Buffer.isBuffer(reply)) return false;
  const { name, args } = command;
  if (name === 'PING') return args.length === 0;
  if (name === 'TYPE') return true;
  return STATUS_COMMANDS.has(name) && reply.toString('latin1') === 'OK' && !returnsOld(command);
}

/** Does a SET answer with the value that was there before? */
const returnsOld = ({ name, args }: Command): boolean =>
  name === 'SET' && args.slice(2).some((arg) => arg.toString().toUpperCase() === 'GET');

function encode(value: unknown, parts: Buffer[]): void {
  if (Buffer.isBuffer(value)) parts.push(line('$', `${value.length}`), value, Buffer.from('\r\n'));
  else if (typeof value === 'string') parts.push(line(':', value));
  else if (value instanceof Error) parts.push(line('-', value.message));
  else if (Array.isArray(value)) {
    parts.push(line('*', `${value.length}`));
    for (const item of value) encode(item, parts);
  } else parts.push(line('$', '-1'));
}

const line = (type: string, rest: string | Buffer): Buffer => Buffer.from(`${type}${rest}\r\n`);
