import { containerScreenshot } from '@warmwind/shared/contract/commands/container-screenshot';
import { answerCall, type CallsContext } from '../calls/answer.ts';
import type { Http } from '../http/http.ts';

/** Serves `GET /containers/:id/screenshot`: the call, for clients that have a ticket and no token. */
export function screenshot(http: Http, context: CallsContext): void {
  http.get('/containers/:id/screenshot', (c) => {
    return answerCall(c, context, {
      command: containerScreenshot,
      containerId: c.req.param('id'),
      uncheckedInput: c.req.query(),
    });
  });
}
