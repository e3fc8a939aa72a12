import { createHash } from 'node:crypto';
import { CALL_KEY } from '@warmwind/shared/contract/call-events';
import { MAX_CALL_INPUT } from '@warmwind/shared/contract/call-wire';
import type { CallCommand } from '@warmwind/shared/contract/command';
import { ApiError } from '@warmwind/shared/contract/errors';
import { answerCall, type CallsContext } from '../calls/answer.ts';
import { readJson } from '../http/body.ts';
import type { Http } from '../http/http.ts';

/** Serves `POST /containers/:id/calls/:kind`: any call, with its input as the body. */
export function callRoutes(http: Http, context: CallsContext, commands: readonly CallCommand[]): void {
  const byKind = new Map<string, CallCommand>(commands.map((command) => [command.kind, command]));
  http.post('/containers/:id/calls/:kind', async (c) => {
    const command = byKind.get(c.req.param('kind'));
    if (!command) throw new ApiError('not_found', 'There is no such call: see the kinds in the README.');
    const uncheckedInput = await readJson(c.req.raw, MAX_CALL_INPUT);
    const keyHash = keyHashOf(c.req.header('Idempotency-Key'));
    return answerCall(c, context, { command, containerId: c.req.param('id'), uncheckedInput, keyHash });
  });
}

/** @throws ApiError `bad_request` */
function keyHashOf(key: string | undefined): string | undefined {
  if (key === undefined) return undefined;
  if (CALL_KEY.test(key)) return createHash('sha256').update(key).digest('hex');
  throw new ApiError('bad_request', 'Correct Idempotency-Key: 1-255 visible ASCII characters.', {
    issues: [{ path: 'idempotency-key', message: '1-255 visible ASCII characters' }],
  });
}
