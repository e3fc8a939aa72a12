import { createRoute, z } from '@hono/zod-openapi';
import { type ContainerSpec, StartContainer } from '@warmwind/shared/containers';
import type { Issue } from '@warmwind/shared/errors';
import { newId } from '@warmwind/shared/ids';
import type { Fields } from '@warmwind/shared/ledger/rows';
import type { LimitScope } from '@warmwind/shared/limits';
import type { Config } from '../config.ts';
import { ACCEPTED_START, START } from '../docs/examples.ts';
import type { App } from '../env.ts';
import { jsonBody } from '../http/body.ts';
import { badRequest, notFound } from '../http/errors.ts';
import { failures, json, security } from '../http/openapi.ts';
import { noQuery } from '../http/query.ts';
import { idempotency, SubmitHeaders, submitted } from '../jobs/idempotency.ts';
import { submit } from '../jobs/submit.ts';
import { finished } from '../jobs/wait.ts';
import { webhookIssues } from '../jobs/webhook.ts';
import { limitedBySubmission } from '../limits/charge.ts';
import type { Services } from '../services.ts';

const SCOPES: LimitScope[] = ['user', 'containers.start'];

/** `POST /containers/start` */
export function startContainer(app: App, services: Services): void {
  const { config, limiter } = services;
  const route = createRoute({
    method: 'post',
    path: '/containers/start',
    operationId: 'startContainer',
    summary: 'Start a desktop',
    security,
    middleware: [limitedBySubmission(limiter, SCOPES), noQuery, jsonBody] as const,
    request: {
      headers: SubmitHeaders,
      body: json(StartContainer, 'All optional; an empty body starts the default.', START),
    },
    responses: {
      ...submitted(z.object({ jobId: z.string(), containerId: z.string() }), ACCEPTED_START),
      ...failures(400, 401, 404, 408, 409, 413, 415, 429, 503),
    },
  });
  app.openapi(route, async (c) => {
    const input = c.req.valid('json');
    const { 'idempotency-key': key, prefer } = c.req.valid('header');
    const job = await submit(c, services, {
      action: 'start',
      kind: 'container.start',
      queue: 'containers',
      userId: c.get('user').id,
      requestId: c.get('requestId'),
      scopes: SCOPES,
      idempotency: await idempotency(c, key, input),
      containerId: newId(),
      webhookUrl: input.webhookUrl,
      container: newContainer(c.get('user').id, input, config),
      quotas: config.QUOTAS,
    });
    const ended = await finished(c, services, job, prefer);
    if (ended) return c.json(ended, 200);
    return c.json({ jobId: job.jobId, containerId: job.containerId }, 202);
  });
}

/** The fields of a new desktop's record, as far as its request decides them, given its id. */
function newContainer(userId: string, input: StartContainer, config: Config): (id: string) => Fields {
  const {
    image = Object.keys(config.DESKTOP_IMAGES)[0] ?? '',
    name,
    snapshot,
    webhookUrl: _,
    ...rest
  } = input;
  const issues = offerIssues(image, input, config);
  if (issues.length > 0) throw badRequest(issues);
  if (snapshot !== undefined) throw notFound('snapshot');

  const spec: ContainerSpec = { ...rest, image: config.DESKTOP_IMAGES[image] ?? '' };
  return (id) => ({
    id,
    userId,
    name: name ?? `desktop-${id.slice(0, 8)}`,
    image,
    width: `${spec.width}`,
    height: `${spec.height}`,
    spec: JSON.stringify(spec),
  });
}

/** What this deployment does not offer. */
function offerIssues(image: string, { network, gpus, webhookUrl }: StartContainer, config: Config): Issue[] {
  const images = Object.keys(config.DESKTOP_IMAGES);
  const networks = config.DESKTOP_NETWORKS;
  return [
    ...(images.includes(image) ? [] : [{ path: 'image', message: `use one of: ${images.join(', ')}` }]),
    ...(networks.includes(network)
      ? []
      : [{ path: 'network', message: `use one of: ${networks.join(', ')}` }]),
    ...(gpus <= config.MAX_GPUS ? [] : [{ path: 'gpus', message: `at most ${config.MAX_GPUS} here` }]),
    ...webhookIssues(webhookUrl, config),
  ];
}
