import type { z } from 'zod';
import { type CallCommand, hasQuery, pathFields } from '../contract/command.ts';
import { CALL_COMMANDS, type CallDefinition, type CallKind } from '../contract/registry.ts';
import { UnexpectedAnswerError } from './http-errors.ts';
import { pause } from './pause.ts';
import { newIdempotencyKey } from './submission.ts';
import type { CallOptions, RequestOptions, Transport } from './transport.ts';

/** Time for the response to arrive, added to the time-out of the call itself, ms. */
const TRAVEL_MS = 5000;

/** How often an abort is sent while its call is not found, and the pause between, ms. */
const ABORT_ATTEMPTS = 4;
const ABORT_EVERY_MS = 250;

type Input<K extends CallKind> = z.input<CallDefinition<K>['input']>;

/** The input of a call, with the id of the container that it acts on. */
export type CallInput<K extends CallKind> =
  // An object without fields does not accept `containerId`, so it is left out of the intersection.
  (string extends keyof Input<K> ? unknown : Input<K>) & { containerId: string };

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
  command: CallCommand,
  input: { containerId: string },
  options?: ContainerCallOptions,
): Promise<unknown> {
  const { output } = command;
  return fetchCall(transport, command, input, options, async (response) => {
    if (!('json' in output)) return response.blob();
    const { data, error } = output.json.safeParse(await response.json().catch(() => undefined));
    if (error) throw new UnexpectedAnswerError(response.status);
    return data;
  });
}

/**
 * Sends a call and reads its response by a function of the caller. An abort of a call with effects is sent to the
 * container's host, because servers may notice only later that a client has gone.
 *
 * @param input the input of the call, with the id of its container
 * @throws RequestError when the edge refuses or does not respond
 * @throws the reason of the signal when it aborts
 */
export async function fetchCall<T>(
  transport: Transport,
  { http, claims, timeoutMs }: CallCommand,
  { containerId, ...input }: { containerId: string },
  { ifMatch, idempotencyKey, ...options }: ContainerCallOptions = {},
  read: (response: Response) => Promise<T>,
): Promise<T> {
  const given: Record<string, unknown> = { ...input };
  let path = http.path.replace('{id}', encodeURIComponent(containerId));
  for (const field of pathFields(http)) {
    path = path.replace(`{${field}}`, encodeURIComponent(String(given[field])));
    delete given[field];
  }
  const key = idempotencyKey ?? newIdempotencyKey();
  const request: RequestOptions = {
    timeoutMs: Math.max(transport.timeoutMs, timeoutMs + TRAVEL_MS),
    ...options,
    ...(hasQuery(http) ? { query: given as RequestOptions['query'] } : { body: given }),
    headers: {
      ...(ifMatch === undefined ? {} : { 'If-Match': `"${ifMatch}"` }),
      ...(claims ? { 'Idempotency-Key': key } : {}),
    },
    repeatable: true,
  };
  const { signal } = options;
  const abort = () => {
    abortCall(transport, containerId, key).catch(() => undefined);
  };
  if (claims && !signal?.aborted) signal?.addEventListener('abort', abort, { once: true });
  try {
    return await transport.send(http.method.toUpperCase(), path, request, read);
  } finally {
    signal?.removeEventListener('abort', abort);
  }
}

/** Aborts the call that was sent with a key; tries again when it may not have arrived yet. */
async function abortCall(transport: Transport, containerId: string, key: string): Promise<void> {
  for (let attempt = 1; attempt <= ABORT_ATTEMPTS; attempt++) {
    const { aborted } = await callMethods(transport).abortCall({ containerId, key });
    if (aborted) return;
    await pause(ABORT_EVERY_MS);
  }
}
