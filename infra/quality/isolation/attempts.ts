import { newId } from '@warmwind/shared/contract/ids';
import { expect } from 'vitest';
import type { Supervisor } from '../../../workers/supervisor/client.ts';
import { type Escape, program } from './escapes.ts';

/**
 * EPERM, ENOENT, EAGAIN, EACCES, EINVAL, ENOSPC, EROFS, ENOSYS, EPROTONOSUPPORT, EAFNOSUPPORT, EADDRNOTAVAIL, ENETUNREACH. SIGSYS
 * ends a program that calls by other numbers, SIGKILL one that takes more memory than there is.
 */
const REFUSED = [...[1, 2, 11, 13, 22, 28, 30, 38, 93, 97, 99, 101].map(String), 'signal 9', 'signal 31'];

/** Tries escapes as a program that the supervisor started. @returns what each came to, by its name */
async function tryEscapes(supervisor: Supervisor, escapes: readonly Escape[]): Promise<Map<string, string>> {
  const { id } = await supervisor.start(newId(), {
    cmd: ['perl', '-'],
    stdin: Buffer.from(program(escapes)),
  });
  const { body } = await supervisor.output(id, 'stdout');
  const text = (await body.toArray()).join('');
  await supervisor.end(id, { forget: true });
  const outcomes = new Map<string, string>();
  for (const [, index = '', outcome = ''] of text.matchAll(/^(\d+) (.*)$/gm))
    outcomes.set(escapes[Number(index)]?.name ?? '', outcome);
  return outcomes;
}

/** Tries all, and expects that each is refused. */
export async function expectRefused(supervisor: Supervisor, escapes: readonly Escape[]): Promise<void> {
  const outcomes = await tryEscapes(supervisor, escapes);
  const allowed = escapes
    .map(({ name }) => [name, outcomes.get(name) ?? 'not tried'])
    .filter(([, outcome = '']) => !REFUSED.includes(outcome));
  expect(allowed).toEqual([]);
}
