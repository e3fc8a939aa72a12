import type { z } from 'zod';
import type { ContainerState } from './containers.ts';
import type { LimitScope } from './limits.ts';

/**
 * How a request reaches what carries it out. `job`: durable, recorded, carried out at least once by a worker that takes
 * it from a queue. `call`: answered now by the container's host. `session`: a stream of bytes in both directions.
 */
export type Delivery = 'job' | 'call' | 'session';

/** A queue, and who takes from it. */
export type Lane =
  /** Any host that may take a new container. */
  | 'placements'
  /** The container's host, without waiting for other work on it; any host while the container has none. */
  | 'control'
  /** The container's host, in its own time. */
  | 'work'
  /** Any worker that serves models. */
  | 'models'
  /** Any worker: what takes its CPUs. */
  | 'readings';

/** A route of the edge, as the OpenAPI document names it. */
export type CommandRoute<Operation extends string = string> = {
  method: 'post';
  /** With `{id}` for the container that the command is about. */
  path: string;
  /** Also the name of its method in the HTTP client. */
  operationId: Operation;
  summary: string;
  /** What the body says. */
  body: string;
};

/** How a command is about a container: see {@link JobCommand.container}. */
export type ContainerRole = 'path' | 'input' | 'creates' | 'none';

/** What one kind of job is: all that edge, scripts, ledger, workers and documents need to know of it. */
export type JobCommand<
  Kind extends string = string,
  Input extends z.ZodType = z.ZodType,
  Result extends z.ZodType = z.ZodType,
  Role extends ContainerRole = ContainerRole,
  Operation extends string = string,
> = {
  kind: Kind;
  delivery: 'job';
  http: CommandRoute<Operation>;
  lane(input: z.output<Input>): Lane;
  /** The body of its request; an unknown field is refused. */
  input: Input;
  /** The result of its job. */
  result: Result;
  /** A request as the document shows it. */
  example: z.input<Input>;
  /**
   * The container that it is about: `path` (named by the route), `input` (perhaps named by the body), `creates` (as many
   * new ones as {@link JobCommand.creates} says), or none.
   */
  container: Role;
  /** How many containers a request creates, 1 if left out; their quota is taken for all or none. */
  creates?(input: z.output<Input>): number;
  /** The states in which a container takes it; any that is not ended if left out. */
  requires?: readonly ContainerState[];
  /** The answer when its container has ended, with `{state}`, where the usual one does not fit. */
  endedMessage?: string;
  /** The state of a container that no host has, once this was accepted for it. */
  enters?: ContainerState;
  /** At most one at a time for a container: another request gets the job that is outstanding, named by this field. */
  once?: 'stopJobId';
  /** Its body may be as large as an image. */
  large?: true;
  /** Its input is kept for its worker, apart from its record. */
  keepsInput: boolean;
  /** It counts as outstanding, is limited by the quota of jobs, and waits its turn. */
  counts: boolean;
  cancellable: boolean;
  retryable: boolean;
  /** What becomes of it when the host of its container is lost. */
  onHostLost: 'completes' | 'fails';
  /** Rate limits that a request consumes. */
  limits: readonly LimitScope[];
};

/** Checks a definition and keeps its literal types. */
export const defineJob = <
  const Kind extends string,
  Input extends z.ZodType,
  Result extends z.ZodType,
  const Role extends ContainerRole,
  const Operation extends string,
>(
  command: Omit<JobCommand<Kind, Input, Result, Role, Operation>, 'delivery'>,
): JobCommand<Kind, Input, Result, Role, Operation> => ({ ...command, delivery: 'job' });

/** What one kind of session is: all that relay, host, client and documents need to know of it. */
export type SessionCommand<
  Kind extends string = string,
  Input extends z.ZodType = z.ZodType,
  Result extends z.ZodType = z.ZodType,
> = {
  kind: Kind;
  delivery: 'session';
  summary: string;
  /** What `session:open` gives it; an unknown field is refused. */
  input: Input;
  /** What `session:closed` has when it is complete. */
  result: Result;
  /** An input as the document shows it. */
  example: z.input<Input>;
  /** The states in which a container takes it. */
  requires: readonly ContainerState[];
  /** The mode of ticket that it takes. */
  mode: 'view' | 'control';
  /** How long it may last, ms. */
  maxMs: number;
  /** It ends when no byte has come in either direction for so long, ms. */
  idleMs?: number;
  /** Bytes that a client may send in all. */
  maxInputBytes?: number;
};

/** Checks a definition and keeps its literal types. */
export const defineSession = <const Kind extends string, Input extends z.ZodType, Result extends z.ZodType>(
  command: Omit<SessionCommand<Kind, Input, Result>, 'delivery'>,
): SessionCommand<Kind, Input, Result> => ({ ...command, delivery: 'session' });

/** A route of the edge that is answered by a container's host. */
export type CallRoute<Operation extends string = string> = {
  method: 'get' | 'post' | 'put';
  /** With `{id}` for the container. */
  path: string;
  /** Also the name of its method in the HTTP client. */
  operationId: Operation;
  summary: string;
  description?: string;
};

/** What a call answers: JSON, or bytes of one of these media types. */
export type CallOutput<Json extends z.ZodType = z.ZodType> =
  | { description: string; json: Json; example: object }
  | { description: string; media: readonly [string, ...string[]]; headers: Readonly<Record<string, string>> };

/** What one kind of call is: all that edge, relay, host, client and documents need to know of it. */
export type CallCommand<
  Kind extends string = string,
  Input extends z.ZodObject = z.ZodObject,
  Output extends CallOutput = CallOutput,
  Operation extends string = string,
> = {
  kind: Kind;
  delivery: 'call';
  http: CallRoute<Operation>;
  /**
   * The query of a `get`, the body of any other; an unknown field is refused. It takes what it has made of an input
   * as well, and makes the same of it: edge, relay and host each check it.
   */
  input: Input;
  /** A request as the document shows it. */
  example: z.input<Input>;
  output: Output;
  /** The states in which a container takes it. */
  requires: readonly ContainerState[];
  /**
   * It has effects: it is carried out at most once for each `Idempotency-Key`, one after the other on each container.
   * A call without is a read: all who ask the same while one is being carried out share the next.
   */
  claims: boolean;
  /** What a ticket must permit that is sent with it to the relay. */
  mode: 'view' | 'control';
  /** How long all of it may take, ms. */
  timeoutMs: number;
  /** The largest answer, bytes. */
  maxResultBytes: number;
  /** The largest answer that is kept for a request that is sent again, bytes; 64 KB if left out. */
  maxKeptBytes?: number;
  /** Rate limits that a request consumes. */
  limits: readonly LimitScope[];
};

/** Checks a definition and keeps its literal types. */
export const defineCall = <
  const Kind extends string,
  Input extends z.ZodObject,
  const Output extends CallOutput,
  const Operation extends string,
>(
  command: Omit<CallCommand<Kind, Input, Output, Operation>, 'delivery'>,
): CallCommand<Kind, Input, Output, Operation> => ({ ...command, delivery: 'call' });
