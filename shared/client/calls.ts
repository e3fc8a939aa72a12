import type { z } from 'zod';
import { type CallCommand, hasQuery, pathFields } from '../contract/command.ts';
import { CALL_COMMANDS, type CallDefinition, type CallKind } from '../contract/registry.ts';
import { UnexpectedAnswerError } from './http-errors.ts';
import { newIdempotencyKey } from './submission.ts';
import type { CallOptions, RequestOptions, Transport } from './transport.ts';

/** Time for the response to arrive, added to the time-out of the call itself, ms. */
const TRAVEL_MS = 5000;

type Input<K extends CallKind> = z.input<CallDefinition<K>['input']>;

/** The input of a call, with the id of the container that it acts on. */
export type CallInput<K extends CallKind> = Input<K> & { containerId: string };

/** The result of a call: its parsed JSON, or a `Blob` for a call that returns bytes. */
export type CallResult<K extends CallKind> = CallDefinition<K>['output'] extends {
  json: infer Json extends z.ZodType;
}
  ? z.output<Json>
  : Blob;

/** Options of a call to a container. */
export type ContainerCallOptions = CallOptions & {
  /** The expected incarnation of the container. The edge refuses any other with `gone_incarnation`. */
  ifMatch?: number;
  /**
   * The idempotency key of a call with side effects: calls with the same key are carried out once. Default: a
   * new key for each call.
   */
  idempotencyKey?: string;
};

/** One method for each call, named by its operation id. */
export type CallMethods = {
  [K in CallKind as CallDefinition<K>['http']['operationId']]: (
    input: CallInput<K>,
    options?: ContainerCallOptions,
  ) => Promise<CallResult<K>>;
};

/**
 * Makes the methods of all calls.
 *
 * @param transport sends the requests
 */
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
  const given: Record<string, unknown> = { ...input };
  let path = http.path.replace('{id}', encodeURIComponent(containerId));
  for (const field of pathFields(http)) {
    path = path.replace(`{${field}}`, encodeURIComponent(String(given[field])));
    delete given[field];
  }
  const request: RequestOptions = {
    timeoutMs: Math.max(transport.timeoutMs, timeoutMs + TRAVEL_MS),
    ...options,
    ...(hasQuery(http) ? { query: given as RequestOptions['query'] } : { body: given }),
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
