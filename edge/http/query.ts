import { z } from '@hono/zod-openapi';

/** The query of a route. A parameter that it does not have is refused, with those that it has: a misspelt filter filters nothing. */
export function queryOf<T extends z.ZodRawShape>(shape: T) {
  const names = Object.keys(shape);
  const known = names.length > 0 ? `use ${names.join(', ')}` : 'this route has none';
  return z.strictObject(shape, {
    error: ({ code }) => (code === 'unrecognized_keys' ? `unknown parameter: ${known}` : undefined),
  });
}

export const NoQuery = queryOf({});
