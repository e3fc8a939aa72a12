import { z } from '@hono/zod-openapi';
import { failures } from '../http/openapi.ts';

/** The body of every failed answer in OpenAI's form, for the document. */
const OpenAiError = z
  .object({
    error: z.object({
      message: z.string().describe('What to do next.'),
      type: z.string(),
      code: z.string().nullable(),
      param: z.string().nullable(),
    }),
  })
  .openapi('OpenAiError');

/** As `failures`, in OpenAI's form. */
export const openAiFailures: typeof failures = (...statuses) => {
  const rows = failures(...statuses);
  for (const row of Object.values(rows) as { content: object }[]) {
    row.content = { 'application/json': { schema: OpenAiError } };
  }
  return rows;
};
