import type { z } from 'zod';
import type { SessionCommand } from '../command.ts';
import { containerFile } from './container-file.ts';
import { containerTerminal } from './container-terminal.ts';
import { containerTunnel } from './container-tunnel.ts';
import { containerVnc } from './container-vnc.ts';

/** Every kind of session. A new one is its definition, a line here, and a handler in the workers. */
const SESSIONS = [containerFile, containerTerminal, containerTunnel, containerVnc] as const;

type Registered = (typeof SESSIONS)[number];
export type SessionKind = Registered['kind'];
/** Input and result of a session by its kind. */
export type SessionInputs = { [S in Registered as S['kind']]: z.input<S['input']> };
export type SessionResults = { [S in Registered as S['kind']]: z.output<S['result']> };

export const SESSION_COMMANDS: readonly SessionCommand<SessionKind>[] = SESSIONS;

const byKind = new Map<string, SessionCommand<SessionKind>>(
  SESSION_COMMANDS.map((command) => [command.kind, command]),
);

/** The definition of a kind of session, `undefined` for one that this version does not know. */
export const findSessionCommand = (kind: string): SessionCommand<SessionKind> | undefined => byKind.get(kind);
