import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { z } from 'zod';
import { type SupervisorRequest, sendRequest, sendUpgrade, type Upgraded } from './connection.ts';
import { SupervisorError } from './error.ts';
import {
  Health,
  ProcessList,
  type ProcessRequest,
  Refusal,
  type StreamName,
  SupervisedProcess,
  type TerminalSize,
  Usage,
} from './process.ts';

/** The time-out of a request that the supervisor answers at once, ms. */
const ANSWER_MS = 15_000;
/** The time-out of a request that ends programs, ms. */
const END_MS = 20_000;
/** The time-out of a wait for the end of a program, ms: longer than any program may run. */
const WAIT_MS = 8 * 24 * 3600 * 1000;
/** The largest JSON answer: a list of 64 processes with their arguments, bytes. */
const MAX_ANSWER_BYTES = 20 * 2 ** 20;

export type CallOptions = {
  /** Aborts the request; what it started in the container goes on. */
  signal?: AbortSignal | undefined;
};

/** An output of a program from an offset on. */
export type OutputStream = {
  /** The offset of the first byte of `body`. */
  offset: number;
  /** The bytes up to the end of the output. It fails when the connection breaks: read again from where it ended. */
  body: IncomingMessage;
};

/** A terminal, attached. */
export type AttachedTerminal = {
  /** The offset of the first byte of the socket. */
  offset: number;
  /** What is written is typed; what the terminal shows is read. It ends with the terminal. */
  socket: Socket;
};

/** Whether a container is paused, and until when: its supervisor is frozen with it. */
export type Freezer = {
  isFrozen: () => boolean;
  thawed: (signal?: AbortSignal) => Promise<void>;
};
const NEVER: Freezer = { isFrozen: () => false, thawed: async () => undefined };

/**
 * The supervisor of one container, over its socket. Its answers are checked and bounded: the container is not trusted.
 * While the container is paused, requests wait, and time-outs do not end.
 * Every method throws SupervisorError, or the reason of an aborted signal.
 */
export class Supervisor {
  readonly #socketPath: () => Promise<string>;
  readonly #freezer: Freezer;

  /** @param socketPath resolves with the path of its socket on this host */
  constructor(socketPath: () => Promise<string>, freezer: Freezer = NEVER) {
    this.#socketPath = socketPath;
    this.#freezer = freezer;
  }

  /** Waits while the container is paused. */
  thawed(signal: AbortSignal): Promise<void> {
    return this.#freezer.thawed(signal);
  }

  health(options?: CallOptions): Promise<z.infer<typeof Health>> {
    return this.#call(Health, { method: 'GET', path: '/health' }, options);
  }

  /** Measures what the container uses; a paused one does not answer. */
  usage(options?: CallOptions): Promise<Usage> {
    return this.#call(Usage, { method: 'GET', path: '/usage' }, options);
  }

  /**
   * Starts a program under an id of the caller, 1 to 64 letters, digits, `-` and `_`. It starts once: a later call with the same
   * id returns the same program, and one after its record was dropped fails with `forgotten`.
   */
  start(id: string, request: ProcessRequest, options?: CallOptions): Promise<SupervisedProcess> {
    const { stdin, ...rest } = request;
    const input = stdin === undefined ? {} : { stdin: Buffer.from(stdin).toString('base64') };
    const body = JSON.stringify({ ...rest, ...input });
    return this.#call(SupervisedProcess, { method: 'PUT', path: pathOf(id), body }, options);
  }

  async list(options?: CallOptions): Promise<SupervisedProcess[]> {
    return (await this.#call(ProcessList, { method: 'GET', path: '/processes' }, options)).items;
  }

  get(id: string, options?: CallOptions): Promise<SupervisedProcess> {
    return this.#call(SupervisedProcess, { method: 'GET', path: pathOf(id) }, options);
  }

  /** Resolves when the program has ended. Its descendants may run on. */
  wait(id: string, options?: CallOptions): Promise<SupervisedProcess> {
    const request = { method: 'GET' as const, path: pathOf(id, '/wait'), timeoutMs: WAIT_MS };
    return this.#call(SupervisedProcess, request, options);
  }

  /**
   * Reads an output as it grows. A program that is not in the background waits while 256 KiB of an output are not acknowledged.
   * @param after offset of the first byte; by default the first byte that is kept
   */
  async output(
    id: string,
    stream: StreamName,
    { after, signal }: CallOptions & { after?: number } = {},
  ): Promise<OutputStream> {
    const path = pathOf(id, `/${stream}`, after === undefined ? {} : { after: String(after) });
    const body = await this.request({ method: 'GET', path, signal });
    return { offset: offsetOf(body), body };
  }

  /** Marks all output before these offsets as safe: it is dropped, and the program may write as much again. */
  async acknowledge(id: string, offsets: Record<StreamName, number>, options?: CallOptions): Promise<void> {
    await this.#discard({ method: 'POST', path: pathOf(id, '/ack'), body: JSON.stringify(offsets) }, options);
  }

  async resize(id: string, size: TerminalSize, options?: CallOptions): Promise<void> {
    await this.#discard({ method: 'POST', path: pathOf(id, '/size'), body: JSON.stringify(size) }, options);
  }

  /**
   * Attaches to a terminal. A reader that reads on slows the program; one that stalls, and falls more than 256 KiB
   * behind, is disconnected.
   * @param after offset of the first byte; by default, and when it is no longer kept, the first byte that is
   */
  async attach(
    id: string,
    { after, signal }: CallOptions & { after?: number } = {},
  ): Promise<AttachedTerminal> {
    const path = pathOf(id, '/attach', after === undefined ? {} : { after: String(after) });
    const { response, socket } = await this.upgrade('tty', { path, signal });
    return { offset: offsetOf(response), socket };
  }

  /**
   * Ends a program and every descendant; resolves when all are gone.
   * @param forget also drops the record. Of a program that has ended, only that: its descendants run on
   */
  end(
    id: string,
    { forget = false, signal }: CallOptions & { forget?: boolean } = {},
  ): Promise<SupervisedProcess> {
    const path = pathOf(id, '', forget ? { forget: '1' } : {});
    return this.#call(SupervisedProcess, { method: 'DELETE', path, timeoutMs: END_MS }, { signal });
  }

  /**
   * Sends any request.
   * @returns an answer of success, whose body must be read or destroyed
   */
  async request(
    request: Omit<SupervisorRequest, 'timeoutMs'> & { timeoutMs?: number },
  ): Promise<IncomingMessage> {
    const { isFrozen, thawed } = this.#freezer;
    await thawed(request.signal);
    const sent = { timeoutMs: ANSWER_MS, isFrozen, ...request };
    const answer = await sendRequest(await this.#socketPath(), sent);
    if ((answer.statusCode ?? 0) < 300) return answer;
    throw await refusalOf(answer);
  }

  /** Makes a connection of a request. Bytes that came with the answer are read from the socket first. */
  async upgrade(
    protocol: string,
    request: { path: string; signal?: AbortSignal | undefined },
  ): Promise<Upgraded> {
    const { isFrozen, thawed } = this.#freezer;
    await thawed(request.signal);
    const options = { method: 'GET' as const, timeoutMs: ANSWER_MS, isFrozen, ...request };
    const upgraded = await sendUpgrade(await this.#socketPath(), protocol, options);
    if ('refused' in upgraded) throw await refusalOf(upgraded.refused);
    if (upgraded.head.length > 0) upgraded.socket.unshift(upgraded.head);
    return upgraded;
  }

  async #call<T>(
    schema: z.ZodType<T>,
    request: Omit<SupervisorRequest, 'timeoutMs'> & { timeoutMs?: number },
    options?: CallOptions,
  ): Promise<T> {
    const answer = await this.request({ ...request, signal: options?.signal });
    const parsed = schema.safeParse(parse(await readBody(answer)));
    if (!parsed.success) throw invalid(parsed.error);
    return parsed.data;
  }

  async #discard(request: Omit<SupervisorRequest, 'timeoutMs'>, options?: CallOptions): Promise<void> {
    (await this.request({ ...request, signal: options?.signal })).resume();
  }
}

function pathOf(id: string, rest = '', query: Record<string, string> = {}): string {
  const search = new URLSearchParams(query).toString();
  return `/processes/${encodeURIComponent(id)}${rest}${search ? `?${search}` : ''}`;
}

function offsetOf({ headers }: IncomingMessage): number {
  const offset = Number(headers['x-offset']);
  if (!Number.isSafeInteger(offset) || offset < 0) throw invalid(undefined);
  return offset;
}

async function readBody(answer: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of answer as AsyncIterable<Buffer>) {
      size += chunk.length;
      if (size > MAX_ANSWER_BYTES) throw invalid(undefined);
      chunks.push(chunk);
    }
  } catch (error) {
    if (error instanceof SupervisorError) throw error;
    throw new SupervisorError('unreachable', 'The container’s supervisor broke off its answer. Try again.', {
      cause: error,
    });
  }
  return Buffer.concat(chunks).toString();
}

async function refusalOf(answer: IncomingMessage): Promise<SupervisorError> {
  const parsed = Refusal.safeParse(parse(await readBody(answer)));
  if (!parsed.success) return invalid(parsed.error);
  return new SupervisorError(parsed.data.code, parsed.data.message, { status: answer.statusCode });
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

const invalid = (cause: unknown) =>
  new SupervisorError(
    'invalid_answer',
    'The container’s supervisor gave an invalid answer. Start a new container.',
    {
      cause,
    },
  );
