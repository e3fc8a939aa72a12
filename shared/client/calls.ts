import type { z } from 'zod';
import type { CallCommand } from '../contract/command.ts';
import { CALL_COMMANDS, type CallDefinition, type CallKind } from '../contract/registry.ts';
import { UnexpectedAnswerError } from './http-errors.ts';
import { newIdempotencyKey } from './submission.ts';
import type { CallOptions, RequestOptions, Transport } from './transport.ts';

/** How much longer than a call may take its answer may be on its way, ms. */
const TRAVEL_MS = 5000;

type Input<K extends CallKind> = z.input<CallDefinition<K>['input']>;

/** The input of a call, and the container that it is about. */
export type CallInput<K extends CallKind> = Input<K> & { containerId: string };

/** What a call answers: its JSON, or bytes. */
export type CallResult<K extends CallKind> = CallDefinition<K>['output'] extends {
  json: infer Json extends z.ZodType;
}
  ? z.output<Json>
  : Blob;

export type ContainerCallOptions = CallOptions & {
  /** The incarnation of the container that is meant: another is answered `gone_incarnation`. */
  ifMatch?: number;
  /** Names the intent of a call with effects, so that it is carried out once; made for each call if left out. */
  idempotencyKey?: string;
};

/** A method for each call, by the name of its operation. */
export type CallMethods = {
  [K in CallKind as CallDefinition<K>['http']['operationId']]: (
    input: CallInput<K>,
    options?: ContainerCallOptions,
  ) => Promise<CallResult<K>>;
};

/** The methods of all calls. */
export function callMethods(transport: Transport): CallMethods {
  const methods = CALL_COMMANDS.map((command) => [
    command.http.operationId,
    (input: { containerId: string }, options?: ContainerCallOptions) =>
      sendCall(transport, command, input, options),
  ]);
  return Object.fromEntries(methods) as CallMethods;
}

async function sendCall(
  transport: Transport,
  { http, output, claims, timeoutMs }: CallCommand,
  { containerId, ...input }: { containerId: string },
  { ifMatch, idempotencyKey, ...options }: ContainerCallOptions = {},
): Promise<unknown> {
  const path = http.path.replace('{id}', encodeURIComponent(containerId));
  const request: RequestOptions = {
    timeoutMs: Math.max(transport.timeoutMs, timeoutMs + TRAVEL_MS),
    ...options,
    ...(http.method === 'get' ? { query: input } : { body: input }),
    headers: {
      ...(ifMatch === undefined ? {} : { 'If-Match': `"${ifMatch}"` }),
      ...(claims ? { 'Idempotency-Key': idempotencyKey ?? newIdempotencyKey() } : {}),
    },
    repeatable: true,
  };
  return transport.send(http.method.toUpperCase(), path, request, async (response) => {
    if (!('json' in output)) return response.blob();
    const { data, error } = output.json.safeParse(await response.json().catch(() => undefined));
    if (error) throw new UnexpectedAnswerError(response.status);
    return data;
  });
}
