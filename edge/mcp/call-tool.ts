import type { CallToolResult } from '@modelcontextprotocol/sdk/types.js';
import { Accepted } from '@warmwind/shared/contract/answers';
import { ApiError } from '@warmwind/shared/contract/errors';
import type { Tool } from '@warmwind/shared/contract/tools';
import type { Context } from 'hono';
import type { App, AppEnv } from '../env.ts';
import { onInvalid, toApiError } from '../http/error-response.ts';
import { charge } from '../limits/charge.ts';
import type { Services } from '../services.ts';
import { toolRequest } from './request.ts';
import { answerResult, failedResult, jobResult } from './result.ts';
import { type OnProgress, waitForJob } from './wait.ts';

/** The request in which a tool is called, and what its call needs. */
export type ToolContext = {
  c: Context<AppEnv>;
  services: Services;
  /** The edge itself: a tool is a request to the route that it stands for. */
  app: App;
  onProgress: OnProgress;
};

/**
 * Calls a tool. Its request passes through the edge as any other, with the token of its caller: the route
 * authenticates, limits and checks it.
 * @returns the result; a failure is a result too
 */
export async function callTool(context: ToolContext, tool: Tool, given: unknown): Promise<CallToolResult> {
  const { c, services } = context;
  try {
    const parsed = tool.input.safeParse(given ?? {});
    if (!parsed.success) {
      // No route counts this request.
      await charge(c, services.limiter, c.get('user').id, tool.limits, 'open');
      onInvalid(parsed);
    }
    const answer = await send(context, tool, parsed.data ?? {});
    if (answer.status !== 202 || tool.waitMs === 0) return await answerResult(answer);
    const { jobId } = Accepted.parse(await answer.json());
    const job = await waitForJob(c, services, {
      jobId,
      waitMs: tool.waitMs,
      onProgress: context.onProgress,
    });
    if (!job)
      throw new ApiError('unavailable', `The job ${jobId} can not be read now. Call get_job with it.`);
    return jobResult(job);
  } catch (error) {
    return failedResult(toApiError(error, c).body(c.get('requestId')));
  }
}

/** Sends the request of a tool to the edge itself. */
async function send({ c, app }: ToolContext, tool: Tool, given: object): Promise<Response> {
  const { path, init, type } = toolRequest(tool, given as Record<string, unknown>);
  const headers = new Headers({ 'X-Request-Id': c.get('requestId') });
  const authorization = c.req.header('Authorization');
  if (authorization !== undefined) headers.set('Authorization', authorization);
  if (type !== undefined) headers.set('Content-Type', type);
  const { signal } = c.req.raw;
  return app.fetch(
    new Request(new URL(path, c.req.url), { ...init, headers, signal }),
    c.env,
    c.executionCtx,
  );
}
