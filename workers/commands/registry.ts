import { CALL_COMMANDS, type JobKind, type JobResults } from '@warmwind/shared/contract/registry';
import type { SessionInputs, SessionKind, SessionResults } from '@warmwind/shared/contract/sessions/registry';
import type { Records } from '@warmwind/shared/engine/node/records';
import type { Redis } from 'ioredis';
import type { CallHandler, CallHandlers, CallRoute } from '../calls/call.ts';
import type { OpenCalls } from '../calls/open-calls.ts';
import type { DesktopHost } from '../containers/host.ts';
import { createStart } from '../containers/start.ts';
import { createStop } from '../containers/stop.ts';
import type { Models } from '../inference/models.ts';
import { createPause, createResume } from '../pauses/pause.ts';
import { createExec } from '../programs/exec.ts';
import { createEndProcess, createProcesses } from '../programs/processes.ts';
import type { Handler } from '../runtime/delivery.ts';
import type { ScreenHost } from '../screen/host.ts';
import type { SessionHandler } from '../sessions/handler.ts';
import type { Supervisors } from '../supervisor/supervisors.ts';
import type { Usages } from '../usage/usages.ts';
import { createAbortCall } from './abort-call.ts';
import { createActions } from './actions.ts';
import { createReadClipboard, createWriteClipboard } from './clipboard.ts';
import { createFile } from './container-file.ts';
import { createMetricsCall } from './container-metrics.ts';
import { createTerminal } from './container-terminal.ts';
import { createTunnel } from './container-tunnel.ts';
import { createVnc } from './container-vnc.ts';
import { createExtend } from './extend.ts';
import { createScreenshot } from './screenshot.ts';

/** The dependencies of job handlers: the containers of this host, and the models that it serves. */
export type CommandContext = { host: DesktopHost; models: Models };

type Handlers = { [Kind in JobKind]: Handler<JobResults[Kind]> };

/** The handler of every kind of job, which returns the result of its kind. */
export const createHandlers = ({ host, models }: CommandContext): Handlers => ({
  'container.start': createStart(host),
  'container.stop': createStop(host),
  'container.pause': createPause(host),
  'container.resume': createResume(host),
  'container.exec': createExec(host),
  inference: models.generation,
});

type SessionHandlers = { [Kind in SessionKind]: SessionHandler<SessionInputs[Kind], SessionResults[Kind]> };

/** The dependencies of session handlers. `redis`: the realtime Redis, a fail-fast connection. */
export type SessionHandlerContext = { screens: ScreenHost; supervisors: Supervisors; redis: Redis };

/** The handler of every kind of session. */
export const createSessionHandlers = ({
  screens,
  supervisors,
  redis,
}: SessionHandlerContext): SessionHandlers => ({
  'container.terminal': createTerminal(supervisors),
  'container.vnc': createVnc(screens, redis),
  'container.tunnel': createTunnel(supervisors),
  'container.file': createFile(supervisors),
});

/** The dependencies of call handlers. */
export type CallContext = {
  screens: ScreenHost;
  openCalls: OpenCalls;
  supervisors: Supervisors;
  records: Records;
  usages: Usages;
};

/** The handler of every kind of call. */
const createCallHandlers = ({
  screens,
  openCalls,
  supervisors,
  records,
  usages,
}: CallContext): CallHandlers => ({
  'container.actions': createActions(screens),
  'container.screenshot': createScreenshot(screens),
  'container.read-clipboard': createReadClipboard(supervisors),
  'container.write-clipboard': createWriteClipboard(supervisors),
  'container.abort-call': createAbortCall(openCalls),
  'container.processes': createProcesses(supervisors),
  'container.end-process': createEndProcess(supervisors),
  'container.extend': createExtend(records),
  'container.metrics': createMetricsCall(usages),
});

/** Every call with its handler. */
export function createCallRoutes(context: CallContext): CallRoute[] {
  const handlers = createCallHandlers(context);
  return CALL_COMMANDS.map((command) => ({ command, handle: handlers[command.kind] as CallHandler }));
}
