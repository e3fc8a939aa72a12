import type { Socket } from 'node:net';
import { ApiError, type ErrorCode } from '@warmwind/shared/contract/errors';
import type { SessionInputs, SessionResults } from '@warmwind/shared/contract/sessions/registry';
import {
  MAX_TERMINALS,
  type TerminalNotice,
  TerminalRequest,
  type TerminalSize,
} from '@warmwind/shared/contract/sessions/terminal';
import {
  encodeTerminalMessage,
  readTerminalMessages,
  TerminalStreamError,
} from '@warmwind/shared/runtime/session/terminal-stream';
import { type SessionContext, SessionEndedError, type SessionHandler } from '../sessions/handler.ts';
import type { Supervisor } from '../supervisor/client.ts';
import { SupervisorError } from '../supervisor/error.ts';
import type { SupervisedProcess } from '../supervisor/process.ts';
import type { Supervisors } from '../supervisor/supervisors.ts';

/** Most attachments of one terminal: fewer than those at which the supervisor ends the oldest. */
const MAX_ATTACHMENTS = 7;
const SHELL = ['bash', '-l'];

type Input = SessionInputs['container.terminal'];
type Result = SessionResults['container.terminal'];
type Session = SessionContext<Input>;

/** Creates the handler of `container.terminal`: each session is one attachment to a terminal of the supervisor. */
export function createTerminal(supervisors: Pick<Supervisors, 'of'>): SessionHandler<Input, Result> {
  const attachments = new Map<string, number>();
  const openings = new Map<string, Promise<unknown>>();

  /** Runs one opening of a container after the other, so that their number is counted. */
  const open = (supervisor: Supervisor, session: Session, input: TerminalSize & { cmd?: string[] }) => {
    const { containerId, sessionId } = session;
    const before = openings.get(containerId) ?? Promise.resolve();
    const opened = before.then(() => openTerminal(supervisor, sessionId, input));
    const settled = opened
      .catch(() => undefined)
      .then(() => {
        if (openings.get(containerId) === settled) openings.delete(containerId);
      });
    openings.set(containerId, settled);
    return opened;
  };

  const attach = async (attachment: Attachment, supervisor: Supervisor, id: string, after: number) => {
    const count = attachments.get(id) ?? 0;
    if (count >= MAX_ATTACHMENTS) {
      throw new ApiError('quota_exceeded', `A terminal has at most ${MAX_ATTACHMENTS} attachments: end one.`);
    }
    attachments.set(id, count + 1);
    try {
      return await attachment.run(supervisor, id, after);
    } finally {
      const left = (attachments.get(id) ?? 1) - 1;
      if (left > 0) attachments.set(id, left);
      else attachments.delete(id);
    }
  };

  return async (session) => {
    const { input, containerId, sessionId } = session;
    const attachment = new Attachment(session);
    try {
      const supervisor = supervisors.of(containerId);
      if (!('ttyId' in input)) {
        await open(supervisor, session, input);
        return await attach(attachment, supervisor, sessionId, 0);
      }
      const id = idOf(input.ttyId, containerId);
      if (!(await supervisor.get(id)).tty) throw noTerminal();
      if ('close' in input) return exitOf(await supervisor.end(id));
      return await attach(attachment, supervisor, id, input.after ?? 0);
    } catch (error) {
      session.signal.throwIfAborted();
      if (attachment.isAttached) throw failureOf(error);
      await attachment.refuse(refusalOf(error));
      return {};
    }
  };
}

/** One attachment: copies bytes between a session and a terminal. */
class Attachment {
  readonly #session: Session;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  /** The present connection to the supervisor. */
  #socket = Promise.withResolvers<Socket>();
  #isAttached = false;

  constructor(session: Session) {
    this.#session = session;
    this.#writer = session.writable.getWriter();
  }

  /** Whether its client was notified of the attachment. */
  get isAttached(): boolean {
    return this.#isAttached;
  }

  refuse({ code, message }: ApiError): Promise<void> {
    return this.#notify({ t: 'refused', code, message });
  }

  /** @param after the output that the client has received, bytes */
  async run(supervisor: Supervisor, id: string, after: number): Promise<Result> {
    const { signal, containerId } = this.#session;
    const failed = Promise.withResolvers<never>();
    failed.promise.catch(() => undefined);
    this.#copyInput((size) => supervisor.resize(id, size)).catch(failed.reject);
    for (let at = after; ; ) {
      signal.throwIfAborted();
      const { socket, offset } = await supervisor.attach(id, { after: at, signal });
      const end = () => socket.destroy();
      signal.addEventListener('abort', end, { once: true });
      try {
        if (!this.#isAttached) await this.#notify({ t: 'attached', ttyId: `${containerId}.${id}`, offset });
        else if (offset > at) await this.#notify({ t: 'gap', offset });
        this.#isAttached = true;
        this.#socket.resolve(socket);
        at = await Promise.race([this.#copyOutput(socket, offset), failed.promise]);
      } finally {
        signal.removeEventListener('abort', end);
        socket.destroy();
        this.#socket = Promise.withResolvers();
      }
      // Without its end the attachment fell behind the output that is kept, and continues after it.
      if (at >= (await supervisor.get(id)).stdout.to) return exitOf(await supervisor.wait(id, { signal }));
    }
  }

  /** Copies output, as fast as the client takes it, until the connection ends. @returns the offset then */
  async #copyOutput(socket: Socket, from: number): Promise<number> {
    let at = from;
    try {
      for await (const chunk of socket.iterator({ destroyOnReturn: false })) {
        const bytes = chunk as Buffer;
        await this.#writer.write(encodeTerminalMessage(bytes));
        at += bytes.length;
      }
    } catch (error) {
      this.#session.signal.throwIfAborted();
      if (!socket.errored) throw error;
    }
    return at;
  }

  /** Copies what the client sends, as fast as the terminal takes it, until the client ends its direction. */
  async #copyInput(resize: (size: TerminalSize) => Promise<void>): Promise<void> {
    try {
      for await (const message of readTerminalMessages(this.#session.readable, TerminalRequest)) {
        if (message instanceof Uint8Array) await write(await this.#socket.promise, message);
        else await resize({ cols: message.cols, rows: message.rows });
      }
    } catch (error) {
      if (this.#session.signal.aborted) return;
      if (error instanceof TerminalStreamError) throw new SessionEndedError('protocol_error', error.message);
      throw error;
    }
  }

  #notify(notice: TerminalNotice): Promise<void> {
    return this.#writer.write(encodeTerminalMessage(notice));
  }
}

/** Writes input; resolves when it was taken. A terminal that has ended takes none. */
const write = (socket: Socket, bytes: Uint8Array): Promise<void> =>
  new Promise((resolve) => {
    if (socket.destroyed) resolve();
    else socket.write(bytes, () => resolve());
  });

/** @throws ApiError `quota_exceeded`, or the refusal of the supervisor */
async function openTerminal(
  supervisor: Supervisor,
  id: string,
  { cols, rows, cmd = SHELL }: TerminalSize & { cmd?: string[] },
): Promise<void> {
  const open = (await supervisor.list()).filter(({ tty, state }) => tty && state === 'running').length;
  if (open >= MAX_TERMINALS) {
    throw new ApiError('quota_exceeded', `A container has at most ${MAX_TERMINALS} terminals: close one.`, {
      limit: MAX_TERMINALS,
      used: open,
    });
  }
  await supervisor.start(id, { cmd, tty: { cols, rows } });
}

/** @throws ApiError `not_found` for a terminal of another container */
function idOf(ttyId: string, containerId: string): string {
  const [container, id = '', more] = ttyId.split('.');
  if (container !== containerId || !/^[\w-]{1,64}$/.test(id) || more !== undefined) throw noTerminal();
  return id;
}

/**
 * @returns the refusal that a client reads
 * @throws the error itself, when it is no refusal
 */
function refusalOf(error: unknown): ApiError {
  if (error instanceof ApiError) return error;
  if (!(error instanceof SupervisorError)) throw error;
  if (error.code === 'no_such_process' || error.code === 'forgotten') return noTerminal();
  return new ApiError(REFUSALS[error.code] ?? 'internal', error.message);
}

/** @returns how a session ends whose client was attached */
function failureOf(error: unknown): unknown {
  return error instanceof SupervisorError ? new SessionEndedError('failed', error.message) : error;
}

/** The codes of a supervisor as codes of the contract. */
const REFUSALS: Record<string, ErrorCode> = {
  no_supervisor: 'conflict',
  not_here: 'unavailable',
  unreachable: 'unavailable',
  timeout: 'unavailable',
  no_processes: 'unavailable',
  no_memory: 'unavailable',
  not_ended: 'unavailable',
  too_many_processes: 'quota_exceeded',
  bad_request: 'bad_request',
  offset_ahead: 'bad_request',
  invalid_cwd: 'bad_request',
  not_found: 'bad_request',
  not_executable: 'bad_request',
  not_startable: 'bad_request',
  too_large: 'bad_request',
};

const exitOf = ({ exitCode, signal }: SupervisedProcess): Result => ({
  code: exitCode ?? null,
  ...(signal === undefined ? {} : { signal }),
});

const noTerminal = (): ApiError => new ApiError('not_found', 'There is no such terminal: open another one.');
