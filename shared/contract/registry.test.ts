import { expect, test } from 'vitest';
import { LANES } from '../engine/queues.ts';
import { pathFields } from './command.ts';
import { CALL_COMMANDS, JOB_COMMANDS, jobCommand } from './registry.ts';

test.each(JOB_COMMANDS.map((command) => [command.kind, command] as const))(
  'the definition of %s is complete: its example is valid, its lane exists, and its route and container agree',
  (kind, command) => {
    const { http, container, input, example, lane, requires, once, enters } = command;
    expect(jobCommand(kind)).toBe(command);
    // The example is a request, and the route names a container exactly when the command is about one.
    const parsed = input.parse(example);
    expect(Object.keys(LANES)).toContain(lane(parsed));
    expect(http.path.includes('{id}')).toBe(container === 'path');
    // A state of a container means something only to a command that is about one.
    if (requires || once || enters) expect(['path', 'input']).toContain(container);
  },
);

test.each(CALL_COMMANDS.map((command) => [command.kind, command] as const))(
  'the definition of %s is complete: its example is valid, parsing is idempotent, and its route and effects agree',
  (_kind, {
    http,
    input,
    example,
    output,
    claims,
    requires,
    maxResultBytes,
    maxKeptBytes = 0,
    kept,
    limits,
  }) => {
    // Edge, relay and host each parse the input.
    const once = input.parse(example);
    expect(input.parse(once)).toEqual(once);
    expect(input.safeParse({ ...(once as object), unknownField: 1 }).success).toBe(false);
    expect(http.path.startsWith('/containers/{id}/')).toBe(true);
    for (const field of pathFields(http)) expect(once).toHaveProperty(field, expect.any(String));
    expect(requires.length * limits.length).toBeGreaterThan(0);
    expect(maxKeptBytes).toBeLessThanOrEqual(maxResultBytes);
    // Proxies may repeat a GET, and only JSON answers are kept for repeated calls.
    if (claims) expect([http.method === 'get', 'json' in output]).toEqual([false, true]);
    if (!('json' in output)) return;
    output.json.parse(output.example);
    if (kept) output.json.parse(kept(output.json.parse(output.example)));
  },
);

test('no two commands share a kind, a route or an operation', () => {
  const commands = [...JOB_COMMANDS, ...CALL_COMMANDS];
  for (const of of ['kind', 'path', 'operationId'] as const) {
    const names = commands.map((command) =>
      of === 'kind'
        ? command.kind
        : of === 'path'
          ? `${command.http.method} ${command.http.path}`
          : command.http[of],
    );
    expect(new Set(names).size).toBe(names.length);
  }
});

test('a lookup of an unknown kind throws', () => {
  expect(() => jobCommand('container.unheard-of')).toThrow('no command is of kind');
});
