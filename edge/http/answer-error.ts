import type { Context } from 'hono';
import type { AppEnv } from '../env.ts';
import { isOpenAi, openAiErrorResponse } from '../openai/errors.ts';
import { errorResponse } from './error-response.ts';

/** Answers an error: in OpenAI's form on its routes, flat on all others. */
export const answerError = (error: unknown, c: Context<AppEnv>): Response =>
  isOpenAi(c.req.path) ? openAiErrorResponse(error, c) : errorResponse(error, c);
