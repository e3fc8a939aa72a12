import { expect, test } from 'vitest';
import { z } from 'zod';
import { EnvironmentError, readEnv } from './env.ts';

const Schema = z.object({
  PORT: z.coerce.number().int().min(1).default(8080),
  SECRET: z.string().min(8, 'use at least 8 characters'),
  URL: z.url().optional(),
});

test('an empty variable counts as absent, and has its default', () => {
  expect(readEnv(Schema, { PORT: '', URL: '', SECRET: 'long-enough' })).toEqual({
    PORT: 8080,
    SECRET: 'long-enough',
  });
});

test('every variable that is wrong or missing has a line with its name, and no line has a value', () => {
  const read = () => readEnv(Schema, { PORT: 'eighty', URL: 'hunter2', SECRET: '' });
  expect(read).toThrow(EnvironmentError);
  for (const name of ['PORT', 'SECRET', 'URL']) expect(read).toThrow(`\n  ${name}: `);
  expect(read).not.toThrow(/eighty|hunter2/);
});

test('an error in a nested value names its variable', () => {
  const schema = z.object({
    LIMITS: z
      .string()
      .transform((text) => JSON.parse(text))
      .pipe(z.object({ user: z.number() })),
  });
  expect(() => readEnv(schema, { LIMITS: '{"user":"x"}' })).toThrow('\n  LIMITS.user: ');
});
