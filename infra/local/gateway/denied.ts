import type { Command } from './command.ts';

const HOLDS = 'it would hold the connection that all requests share';
const STATE = 'it would change the state of the connection that all requests share';
const STREAM = 'ask for it as a path, such as /subscribe/channel, with Accept: text/event-stream';
const TRANSACTION = 'send the complete transaction to /multi-exec';
const ADMIN = 'administer Redis directly';
const WIPES = 'it would delete what every client of this Redis has stored';

const DENIED = new Map<string, string>([
  ...because(
    HOLDS,
    'BLPOP BRPOP BLMPOP BLMOVE BLMOVEM BRPOPLPUSH BZPOPMIN BZPOPMAX BZMPOP WAIT WAITAOF MIGRATE',
  ),
  ...because(STREAM, 'SUBSCRIBE PSUBSCRIBE MONITOR'),
  ...because(HOLDS, 'SSUBSCRIBE UNSUBSCRIBE PUNSUBSCRIBE SUNSUBSCRIBE SYNC PSYNC'),
  ...because(STATE, 'AUTH HELLO SELECT QUIT RESET CLIENT ASKING READONLY READWRITE REPLCONF HIMPORT'),
  ...because(TRANSACTION, 'MULTI EXEC DISCARD WATCH UNWATCH'),
  ...because(
    ADMIN,
    'ACL CONFIG DEBUG MODULE FUNCTION SHUTDOWN SLOWLOG LATENCY PFDEBUG PFSELFTEST RESTORE-ASKING',
  ),
  ...because(ADMIN, 'CLUSTER SENTINEL FAILOVER REPLICAOF SLAVEOF SAVE BGSAVE BGREWRITEAOF SWAPDB'),
  ...because(WIPES, 'FLUSHALL FLUSHDB'),
]);

const SCRIPT_ALLOWED = ['LOAD', 'EXISTS'];

/**
 * Checks a command. The list keeps clients that share one connection from harming each other by accident.
 * Against a hostile holder of the token, give `REDIS_URL` a user with an ACL.
 * @returns the reason for a refusal, `undefined` when the command may run
 */
export function denialOf({ name, args }: Command): string | undefined {
  const reason = DENIED.get(name);
  if (reason) return reason;
  if (name === 'SCRIPT' && !SCRIPT_ALLOWED.includes(upper(args[0]))) return ADMIN;
  if ((name === 'XREAD' || name === 'XREADGROUP') && blocks(args)) return HOLDS;
  return undefined;
}

/** Does a stream read carry `BLOCK` among its options, which precede `STREAMS`? */
function blocks(args: Command['args']): boolean {
  for (let i = 0; i < args.length; i++) {
    const option = upper(args[i]);
    if (option === 'STREAMS') return false;
    if (option === 'BLOCK') return true;
    if (option === 'COUNT') i += 1;
    if (option === 'GROUP') i += 2;
  }
  return false;
}

function upper(arg: string | Buffer | undefined): string {
  return arg === undefined ? '' : arg.toString().toUpperCase();
}

function because(reason: string, names: string): [string, string][] {
  return names.split(' ').map((name) => [name, reason]);
}
