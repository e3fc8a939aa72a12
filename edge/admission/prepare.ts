import type { JobCommand } from '@warmwind/shared/contract/command';
import { isId } from '@warmwind/shared/contract/ids';
import type { Labels } from '@warmwind/shared/contract/labels';
import type { JobKind } from '@warmwind/shared/contract/registry';
import { PRIORITY_CLASS } from '@warmwind/shared/engine/queues';
import { MAX_JOB_CONTAINERS } from '@warmwind/shared/engine/records';
import type { Context } from 'hono';
import type { AppEnv } from '../env.ts';
import { MAX_IMAGE_BODY_BYTES, tooLarge } from '../http/body.ts';
import { badRequest, notFound } from '../http/errors.ts';
import type { Services } from '../services.ts';
import { imageIssues } from './image.ts';
import { newContainer } from './new-container.ts';
import type { NewJob } from './submission.ts';
import { webhookIssues } from './webhook-url.ts';

/** The body fields that have the same meaning in every command. */
type CommonInput = {
  containerId?: string;
  webhookUrl?: string;
  labels?: Labels;
  timeoutMs?: number;
  model?: string;
  image?: string;
};

/**
 * Turns a valid request for a command into the job that it asks for.
 * @throws ApiError for an option that this deployment does not offer, and for an id that no container can
 *   have
 */
export function prepare(
  c: Context<AppEnv>,
  { config }: Services,
  command: JobCommand<JobKind>,
  input: object,
): Omit<NewJob, 'idempotency'> {
  const { webhookUrl, timeoutMs, labels, ...rest } = input as CommonInput;
  const issues = [...webhookIssues(webhookUrl, config), ...(command.large ? imageIssues(rest.image) : [])];
  if (issues.length > 0) throw badRequest(issues);
  const userId = c.get('user').id;
  const premium = rest.model !== undefined && config.PREMIUM_MODELS.includes(rest.model);
  return {
    action: 'new',
    command,
    lane: command.lane(input),
    userId,
    requestId: c.get('requestId'),
    scopes: command.limits,
    quotas: config.QUOTAS,
    containerId: containerIdOf(c, command, rest.containerId),
    containers: Array.from({ length: countCreated(command, input) }, () =>
      newContainer(userId, input, config),
    ),
    input: command.keepsInput ? serialize(rest) : '',
    priorityClass: premium ? PRIORITY_CLASS.premium : PRIORITY_CLASS.other,
    timeoutMs,
    webhookUrl,
    labels,
  };
}

/** The id of the container that a request names, '' for none. */
function containerIdOf(c: Context<AppEnv>, { container }: JobCommand, idInBody: string | undefined): string {
  const idByRole = { path: c.req.param('id'), input: idInBody, creates: undefined, none: undefined };
  const id = idByRole[container];
  if (id !== undefined && !isId(id)) throw notFound('desktop');
  return id ?? '';
}

function countCreated(command: JobCommand, input: object): number {
  if (command.container !== 'creates') return 0;
  const count = command.creates?.(input) ?? 1;
  if (count > MAX_JOB_CONTAINERS) throw badRequest([{ path: '', message: `at most ${MAX_JOB_CONTAINERS}` }]);
  return count;
}

/**
 * Serializes an input.
 * @throws ApiError when the JSON is larger than a body may be
 */
function serialize(input: object): string {
  const text = JSON.stringify(input);
  if (new TextEncoder().encode(text).byteLength > MAX_IMAGE_BODY_BYTES) throw tooLarge(MAX_IMAGE_BODY_BYTES);
  return text;
}
