import type { CallFailure, CallOutcome } from '@warmwind/shared/contract/call-wire';
import type { CallCommand } from '@warmwind/shared/contract/command';
import type { RequestEnvelope } from '@warmwind/shared/contract/envelope';
import { ApiError } from '@warmwind/shared/contract/errors';
import type { CallDefinition, CallKind } from '@warmwind/shared/contract/registry';
import type { Logger } from '@warmwind/shared/runtime/node/log';
import type { z } from 'zod';

/** A call that a handler carries out: its envelope and its parsed input. */
export type Call<Input = unknown> = Omit<RequestEnvelope, 'inputHash'> & {
  input: Input;
  /** Aborted when the caller has gone, the deadline has passed, or the container is no longer this host's. */
  signal: AbortSignal;
  log: Logger;
};

/** An answer of bytes, with its media type and headers. */
export type BinaryAnswer = {
  type: string;
  headers: Record<string, string>;
  bytes: Buffer;
  /** The caller's version is still current, and the answer has no bytes. */
  notModified?: true;
};

type AnswerOf<Output> = Output extends { json: infer Json extends z.ZodType }
  ? z.input<Json> & object
  : BinaryAnswer;

/**
 * Carries out calls of one kind. It stops when its signal is aborted.
 * @throws ApiError for an error that its caller may see
 */
export type CallHandler<Input = unknown, Answer = object> = (call: Call<Input>) => Promise<Answer>;
export type CallHandlers = {
  [K in CallKind]: CallHandler<z.output<CallDefinition<K>['input']>, AnswerOf<CallDefinition<K>['output']>>;
};

/** A command with its handler. */
export type CallRoute = { command: CallCommand; handle: CallHandler };

/**
 * The outcome of a call, and the bytes of its answer. `reduced` returns the bytes that are kept in their
 * place when they are too large to keep.
 */
export type Settled = { outcome: CallOutcome; bytes: Buffer; reduced?: () => Buffer };

const NONE = Buffer.alloc(0);

export const failed = ({ code, message, details }: ApiError): Settled => ({
  outcome: { outcome: 'failed', failure: { code, message, ...details } as CallFailure },
  bytes: NONE,
});

export const UNKNOWN: Settled = { outcome: { outcome: 'outcome_unknown' }, bytes: NONE };

/** Packs the answer of a command's handler. */
export function done(command: CallCommand, answer: object): Settled {
  const { bytes, ...head }: BinaryAnswer =
    'json' in command.output
      ? { type: 'application/json', headers: {}, bytes: Buffer.from(JSON.stringify(answer)) }
      : (answer as BinaryAnswer);
  if (bytes.length > command.maxResultBytes) {
    const message = `The answer is larger than ${command.maxResultBytes} bytes. Request less.`;
    return failed(new ApiError('unavailable', message));
  }
  const reduced = command.kept && (() => Buffer.from(JSON.stringify(command.kept?.(answer))));
  return { outcome: { outcome: 'done', ...head }, bytes, ...(reduced ? { reduced } : {}) };
}
