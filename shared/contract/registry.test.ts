import { expect, test } from 'vitest';
import { LANES } from '../queues.ts';
import { JOB_COMMANDS, jobCommand } from './registry.ts';

test.each(JOB_COMMANDS.map((command) => [command.kind, command] as const))(
  '%s is a definition that the edge, the scripts and the documents can be derived from',
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

test('each command has a kind, a path and an operation of its own', () => {
  for (const of of ['kind', 'path', 'operationId'] as const) {
    const names = JOB_COMMANDS.map((command) => (of === 'kind' ? command.kind : command.http[of]));
    expect(new Set(names).size).toBe(names.length);
  }
});

test('a kind that this version does not know has no definition', () => {
  expect(() => jobCommand('container.unheard-of')).toThrow('no command is of kind');
});
