import { z } from 'zod';
import { endOfText } from '../runtime/end-of-text.ts';
import { parseJson } from '../runtime/json.ts';
import { iso } from '../runtime/times.ts';
import { Labels, NewLabels } from './labels.ts';
import { WebhookUrl } from './webhook-target.ts';

export const CONTAINER_STATES = [
  'requested',
  'starting',
  'running',
  'paused',
  'stopping',
  'stopped',
  'failed',
  'lost',
] as const;
export type ContainerState = (typeof CONTAINER_STATES)[number];

/** States that a desktop never leaves. */
export const ENDED_CONTAINER_STATES = ['stopped', 'failed', 'lost'] as const;
export const hasEnded = (state: ContainerState): boolean =>
  (ENDED_CONTAINER_STATES as readonly string[]).includes(state);

/** Explains why a desktop that is not running can't be used now, and what to do next. */
export function notRunning(state: ContainerState): string {
  if (hasEnded(state)) return `The desktop is ${state} and won't run again: start another.`;
  if (state === 'stopping') return 'The desktop is stopping: start another.';
  if (state === 'paused')
    return 'The desktop is paused: resume it by POST /containers/{id}/resume, then ask again.';
  return `The desktop is ${state}: ask again when it runs.`;
}

/**
 * Can a container take a command that requires one of these states? One that was paused because it was idle
 * is resumed first, so it takes what a running one does.
 */
export const takes = (
  requires: readonly ContainerState[],
  { state, pausedBy }: { state: ContainerState; pausedBy?: PausedBy | undefined },
): boolean =>
  requires.includes(state) || (state === 'paused' && pausedBy === 'idle' && requires.includes('running'));

/**
 * Why a desktop ended without a request: its time to live ended, it was idle for `idleSeconds`, or the
 * container engine of its host was restarted.
 */
export const EndReason = z.enum(['expired', 'idle', 'engine_restarted']);
export type EndReason = z.infer<typeof EndReason>;

/** Who paused a desktop: a request, or its host because it was idle. A call resumes the latter. */
export const PausedBy = z.enum(['request', 'idle']);
export type PausedBy = z.infer<typeof PausedBy>;

/** The longest output that a record keeps of a desktop that failed, and that events and lists show, bytes. */
export const EXIT_OUTPUT_BYTES = 16 * 1024;
const BRIEF_OUTPUT_BYTES = 2 * 1024;

/** How the programs of a desktop ended that failed. */
export const ContainerExit = z
  .object({
    exitCode: z.number().int().optional().describe('Exit code of its first program, if it ended.'),
    oomKilled: z.boolean().describe('Whether the kernel ended a program because the memory was used up.'),
    output: z
      .string()
      .describe(
        'The end of what its first program printed, without secrets: at most 16 KB, and 2 KB in events and lists.',
      ),
  })
  .meta({ id: 'ContainerExit' });
export type ContainerExit = z.infer<typeof ContainerExit>;

/** Shortens the output of an exit to its end, for events and lists. */
export const briefExit = (exit: ContainerExit): ContainerExit => ({
  ...exit,
  output: endOfText(exit.output, BRIEF_OUTPUT_BYTES),
});

/** Shortens the output of a container that failed, for events and lists. */
export const briefContainer = (container: Container): Container =>
  container.exit ? { ...container, exit: briefExit(container.exit) } : container;

/** Names that the loader, the shell or the image rely on: a caller can't set them. */
const RESERVED_ENV =
  /^(LD_.*|PATH|HOME|USER|LOGNAME|HOSTNAME|SHELL|PWD|IFS|ENV|BASH.*|SHELLOPTS|PS4|PROMPT_COMMAND|TMPDIR|TERM|LANG|LC_.*|HOSTALIASES|TINI_.*|DISPLAY|XAUTHORITY|XDG_.*|DBUS_.*|GCONV_PATH|LOCPATH|NLSPATH|MALLOC_.*|GLIBC_TUNABLES|PERL5?(OPT|LIB|DB)?|PYTHON.*|NODE_.*|NVIDIA_.*|GTK_.*|QT_.*|WW_.*|WARMWIND_.*|RFB_.*|SCREEN_.*)$/;

const Env = z
  .record(
    z
      .string()
      .max(64)
      .regex(/^[A-Z_][A-Z0-9_]*$/, 'use a name of A-Z, 0-9 and _, not starting with a digit')
      .refine((name) => !RESERVED_ENV.test(name), 'this name is reserved: choose another'),
    z
      .string()
      .max(4096)
      .refine((value) => !value.includes('\0'), 'must not contain NUL'),
  )
  .refine((env) => Object.keys(env).length <= 64, 'at most 64 variables');

/** A time to live, in seconds. */
export const TtlSeconds = z.number().int().min(10).max(86_400);

/**
 * The body of `POST /containers/start`. Everything is optional; an unknown field is refused. The edge checks
 * image, network and GPUs against the configuration of the deployment.
 */
export const StartContainer = z
  .strictObject({
    image: z
      .string()
      .min(1)
      .max(64)
      .optional()
      .describe('Name of an image that this deployment offers; its first one if left out.'),
    width: z.number().int().min(320).max(3840).default(1280).describe('Width of the screen, pixels.'),
    height: z.number().int().min(240).max(2160).default(720).describe('Height of the screen, pixels.'),
    ttlSeconds: TtlSeconds.default(3600).describe(
      'Seconds after which the desktop is stopped, counted from its start.',
    ),
    idleSeconds: z
      .number()
      .int()
      .min(10)
      .max(86_400)
      .optional()
      .describe(
        'Seconds without a viewer, input, call, session or running exec, after which the desktop is stopped or paused, see `onIdle`.',
      ),
    onIdle: z
      .enum(['stop', 'pause'])
      .optional()
      .describe(
        'What follows `idleSeconds`: `stop` (if left out), or `pause`, until it is watched or called again.',
      ),
    memoryMb: z.number().int().min(128).max(16_384).default(512).describe('Memory of the desktop, MB.'),
    cpus: z.number().min(0.1).max(16).default(1).describe('CPUs that it may use.'),
    gpus: z
      .number()
      .int()
      .min(0)
      .max(8)
      .default(0)
      .describe('GPUs of its own, where this deployment offers them; elsewhere more than 0 is answered 400.'),
    env: Env.default({}).describe('Environment variables of its programs.'),
    network: z.enum(['none', 'egress']).default('none').describe('`egress` where this deployment offers it.'),
    name: z
      .string()
      .regex(
        /^[A-Za-z0-9][A-Za-z0-9 _.-]{0,62}$/,
        'use 1-63 letters, digits, spaces, _ . or -, starting with a letter or digit',
      )
      .optional()
      .describe('What people call it; it need not be unique.'),
    labels: NewLabels.optional(),
    snapshot: z
      .string()
      .min(1)
      .max(64)
      .optional()
      .describe('No snapshots can be taken yet: every name is answered 404.'),
    webhookUrl: WebhookUrl.optional().describe('Address that is called when the run begins and ends.'),
  })
  .meta({ id: 'StartContainer' });
export type StartContainer = z.infer<typeof StartContainer>;

/**
 * The data from which a worker creates a desktop: a start request with the image resolved to a Docker
 * reference.
 */
export type ContainerSpec = Omit<StartContainer, 'image' | 'name' | 'labels' | 'snapshot' | 'webhookUrl'> & {
  image: string;
};

/** A desktop as its owner sees it. Times are ISO 8601 in UTC. */
export const Container = z
  .object({
    id: z.string().describe('Id of the container.'),
    name: z.string().describe('The name that its start gave.'),
    state: z.enum(CONTAINER_STATES).describe('`paused`: all programs are frozen in memory.'),
    image: z.string().describe('Name of its image.'),
    width: z.number().int().describe('Width of the screen, pixels.'),
    height: z.number().int().describe('Height of the screen, pixels.'),
    host: z.string().optional().describe('The host that it was assigned to.'),
    incarnation: z
      .number()
      .int()
      .describe(
        'How often it was assigned to a host: as `If-Match: "<incarnation>"` it names this one alone.',
      ),
    createdAt: z.iso.datetime().describe('When its start was accepted, in UTC.'),
    startedAt: z.iso.datetime().optional().describe('When it was running, in UTC.'),
    expiresAt: z.iso.datetime().optional().describe('When its time to live ends, in UTC.'),
    endedAt: z.iso.datetime().optional().describe('When it ended, in UTC.'),
    endReason: EndReason.optional().describe('Why it ended, where no request asked for that.'),
    jobId: z.string().describe('The job that started it.'),
    labels: Labels.optional().describe('The labels that its start gave.'),
    warm: z.boolean().optional().describe('True when it was taken from the warm pool.'),
    pausedBy: PausedBy.optional().describe('While it is paused: by a request, or because it was idle.'),
    exit: ContainerExit.optional().describe('How its programs ended, if it failed.'),
  })
  .meta({ id: 'Container' });
export type Container = z.infer<typeof Container>;

/**
 * Reads a container, as its owner sees it, from its Redis hash.
 * @returns `undefined` when there is no such record
 */
export function containerFromRecord(record: Record<string, string>): Container | undefined {
  if (!record.id) return undefined;
  return {
    id: record.id,
    name: record.name ?? '',
    state: record.state as ContainerState,
    image: record.image ?? '',
    width: Number(record.width),
    height: Number(record.height),
    ...(record.host ? { host: record.host } : {}),
    incarnation: Number(record.fence ?? 0),
    createdAt: iso(record.createdAt),
    ...(record.startedAt ? { startedAt: iso(record.startedAt) } : {}),
    ...(record.expiresAt ? { expiresAt: iso(record.expiresAt) } : {}),
    ...(record.endedAt ? { endedAt: iso(record.endedAt) } : {}),
    ...endReasonOf(record),
    jobId: record.jobId ?? '',
    ...(record.labels ? { labels: parseJson(Labels, record.labels) } : {}),
    ...(record.warm === '1' ? { warm: true } : {}),
    ...(record.pausedBy && record.state === 'paused' ? { pausedBy: PausedBy.parse(record.pausedBy) } : {}),
    ...(record.exit ? { exit: parseJson(ContainerExit, record.exit) } : {}),
  };
}

/** Records of earlier releases have no reason: a desktop that stopped after its time to live has expired. */
function endReasonOf({ state, endReason, endedAt, expiresAt }: Record<string, string>): {
  endReason?: EndReason;
} {
  const { data } = EndReason.safeParse(endReason);
  if (data) return { endReason: data };
  const expired = state === 'stopped' && endedAt && expiresAt && Number(endedAt) >= Number(expiresAt);
  return expired ? { endReason: 'expired' } : {};
}
