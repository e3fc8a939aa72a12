import { z } from '@hono/zod-openapi';
import { failedOpenAi } from '../docs/examples.ts';
import { failures } from '../http/openapi.ts';

/** The body of every failed answer in OpenAI's form, for the document. */
const OpenAiError = z
  .object({
    error: z
      .object({
        message: z.string().describe('The cause, and what to do next.'),
        type: z.string().describe('The class of the error.'),
        code: z.string().nullable().describe('The code of the error.'),
        param: z.string().nullable().describe('The parameter that it is about.'),
      })
      .describe('The error.'),
  })
  .openapi('OpenAiError');

/** As `failures`, in OpenAI's form. */
export const openAiFailures: typeof failures = (...statuses) => {
  const rows = failures(...statuses);
  for (const [status, row] of Object.entries(rows) as [string, { content: object }][]) {
    row.content = { 'application/json': { schema: OpenAiError, example: failedOpenAi(Number(status)) } };
  }
  return rows;
};
