import type { z } from 'zod';
import type { ContainerState } from './containers.ts';
import type { LimitScope } from './limits.ts';
import type { CommandTool } from './tool.ts';

/**
 * How a request is delivered. `job`: durable and recorded; a worker takes it from a queue and runs it at
 * least once. `call`: the container's host answers it at once. `session`: a stream of bytes in both
 * directions.
 */
export type Delivery = 'job' | 'call' | 'session';

/** A queue, named by the workers that take from it. */
export type Lane =
  /** Any host that may take a new container. */
  | 'placements'
  /** The container's host, without waiting for other work on it; any host while the container has none. */
  | 'control'
  /** The container's host, for work that may wait. */
  | 'work'
  /** The container's host, for programs that run in its containers, however long. */
  | 'programs'
  /** Any worker that serves models. */
  | 'models'
  /** Any worker, for work that uses its CPUs. */
  | 'readings';

/** A route of the edge, as the OpenAPI document names it. */
export type CommandRoute<Operation extends string = string> = {
  method: 'post';
  /** With `{id}` for the container that the command is about. */
  path: string;
  /** Also the name of its method in the HTTP client. */
  operationId: Operation;
  summary: string;
  /** Describes the body. */
  body: string;
};

/** How a command names its container: see {@link JobCommand.container}. */
export type ContainerRole = 'path' | 'input' | 'creates' | 'none';

/** The definition of one kind of job; edge, scripts, ledger, workers and documents are derived from it. */
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
   * The container that it is about: `path` (named by the route), `input` (perhaps named by the body),
   * `creates` (as many new ones as {@link JobCommand.creates} returns), or none.
   */
  container: Role;
  /** How many containers a request creates, 1 if left out; their quota is taken for all or none. */
  creates?(input: z.output<Input>): number;
  /**
   * The states in which a container takes it; any that is not ended if left out. With `running` but not
   * `paused`, one that was paused because it was idle is resumed first.
   */
  requires?: readonly ContainerState[];
  /** The answer when its container has ended, with `{state}`, where the usual one does not fit. */
  endedMessage?: string;
  /** The state of a container that no host has, once this was accepted for it. */
  enters?: ContainerState;
  /**
   * At most one at a time for a container: another request gets the job that is outstanding, named by this
   * field.
   */
  once?: 'stopJobId' | 'pauseJobId' | 'resumeJobId';
  /** Its body may be as large as an image. */
  large?: true;
  /** Its input is kept for its worker, apart from its record. */
  keepsInput: boolean;
  /** It counts as outstanding, is limited by the quota of jobs, and waits its turn. */
  counts: boolean;
  cancellable: boolean;
  retryable: boolean;
  /** The time-out is that of the run, not of an attempt: a run that exceeds it is not tried again. */
  timeoutEndsRun?: true;
  /** The outcome of the job when the host of its container is lost. */
  onHostLost: 'completes' | 'fails';
  /** Rate limits that a request consumes. */
  limits: readonly LimitScope[];
  /** The tool of the MCP server that runs it; none if left out. */
  tool?: CommandTool;
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

/** The definition of one kind of session; relay, host, client and documents are derived from it. */
export type SessionCommand<
  Kind extends string = string,
  Input extends z.ZodType = z.ZodType,
  Result extends z.ZodType = z.ZodType,
> = {
  kind: Kind;
  delivery: 'session';
  summary: string;
  /** The input in `session:open`; an unknown field is refused. */
  input: Input;
  /** The result in `session:closed` of a complete session. */
  result: Result;
  /** An input as the document shows it. */
  example: z.input<Input>;
  /** The states in which a container takes it: see {@link JobCommand.requires}. */
  requires: readonly ContainerState[];
  /** The mode of ticket that it takes. */
  mode: 'view' | 'control';
  /** How long it may last, ms. */
  maxMs: number;
  /** The session ends after this long without a byte in either direction, ms. */
  idleMs?: number;
  /** Bytes that a client may send in all. */
  maxInputBytes?: number;
  /** Bytes of a direction that may be on their way beyond those that were read; 2 MB if left out. */
  windowBytes?: number;
};

/** Checks a definition and keeps its literal types. */
export const defineSession = <const Kind extends string, Input extends z.ZodType, Result extends z.ZodType>(
  command: Omit<SessionCommand<Kind, Input, Result>, 'delivery'>,
): SessionCommand<Kind, Input, Result> => ({ ...command, delivery: 'session' });

/** A route of the edge that is answered by a container's host. */
export type CallRoute<Operation extends string = string> = {
  method: 'get' | 'post' | 'put' | 'delete';
  /** With `{id}` for the container. Any other name in braces is that of a string field of the input. */
  path: string;
  /** Also the name of its method in the HTTP client. */
  operationId: Operation;
  summary: string;
  description?: string;
};

/** The fields of the input that a call's path holds: all names in braces but `id`. */
export const pathFields = ({ path }: Pick<CallRoute, 'path'>): string[] =>
  [...path.matchAll(/\{([^{}]+)\}/g)].flatMap(([, name = '']) => (name === 'id' ? [] : [name]));

/** Whether a call's input, but for its fields in the path, is the query of its request. */
export const hasQuery = ({ method }: Pick<CallRoute, 'method'>): boolean =>
  method === 'get' || method === 'delete';

/** The answer of a call: JSON, or bytes of one of these media types. */
export type CallOutput<Json extends z.ZodType = z.ZodType> =
  | { description: string; json: Json; example: object }
  | {
      description: string;
      media: readonly [string, ...string[]];
      headers: Readonly<Record<string, string>>;
      /** When the answer is 304 without bytes, in a command that gives such answers. */
      notModified?: string;
    };

/** The JSON of an answer. */
type JsonAnswer<Output> = Output extends { json: infer Json extends z.ZodType } ? z.output<Json> : never;

/** The definition of one kind of call; edge, relay, host, client and documents are derived from it. */
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
   * The query of a `get` or `delete`, the body of any other, and the fields in the path; an unknown field is
   * refused. Parsing is idempotent: edge, relay and host each parse the output of the one before.
   */
  input: Input;
  /** A request as the document shows it. */
  example: z.input<Input>;
  output: Output;
  /** The states in which a container takes it: see {@link JobCommand.requires}. */
  requires: readonly ContainerState[];
  /**
   * The call has effects: it is carried out at most once for each `Idempotency-Key`, one at a time on each
   * container. Other calls are reads: equal requests that arrive during one execution share the next.
   */
  claims: boolean;
  /** `false`: the call is no use of the container, which may become idle meanwhile. */
  isUse?: false;
  /** A call with effects that does not wait for the container's other calls with effects. */
  concurrent?: true;
  /** A read that waits for an event is carried out for each request, at the same time. */
  waits?(input: z.output<Input>): boolean;
  /** The mode that the ticket sent to the relay must permit. */
  mode: 'view' | 'control';
  /** How long the complete call may take, ms. */
  timeoutMs: number;
  /** The largest answer, bytes. */
  maxResultBytes: number;
  /** The largest answer that is kept for a request that is sent again, bytes; 64 KB if left out. */
  maxKeptBytes?: number;
  /**
   * Of an answer that is too large to keep, the part that is kept in its place. It fits the output's schema.
   * Without it, a request that is sent again gets `conflict`.
   */
  kept?(answer: JsonAnswer<Output>): object;
  /** Rate limits that a request consumes. */
  limits: readonly LimitScope[];
  /** The tool of the MCP server that makes it; none if left out. */
  tool?: CommandTool;
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
