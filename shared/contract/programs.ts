import { z } from 'zod';
import { NewLabels } from './labels.ts';
import { WebhookUrl } from './webhook-target.ts';

/** How long a program may run, ms: at most, and without `timeoutMs`. */
export const MAX_PROGRAM_MS = 86_400_000;
export const USUAL_PROGRAM_MS = 3_600_000;
/** The largest input of a program, bytes. */
export const MAX_STDIN_BYTES = 64 * 1024;
/** The most that a result holds of each stream: its last bytes. */
export const MAX_TAIL_BYTES = 64 * 1024;
/** The most that the arguments, and the environment, of a program hold together, bytes. */
const MAX_ARGUMENT_BYTES = 96 * 1024;
const MAX_ENVIRONMENT_BYTES = 32 * 1024;

const bytesOf = (text: string): number => new TextEncoder().encode(text).length;
const plain = (text: string): boolean => !text.includes('\0');
const NUL = 'must not contain NUL';

const Argument = z.string().max(MAX_ARGUMENT_BYTES).refine(plain, NUL);

/** The program and its arguments, as `execve` takes them: no shell reads them. */
export const ProgramCommand = z
  .array(Argument)
  .min(1)
  .max(512)
  .refine(([program = '']) => program !== '', 'name a program first')
  .refine(
    (cmd) => cmd.reduce((sum, argument) => sum + bytesOf(argument) + 1, 0) <= MAX_ARGUMENT_BYTES,
    `at most ${MAX_ARGUMENT_BYTES} bytes in all`,
  )
  .describe('The program and its arguments. No shell reads them: for one use `["sh", "-c", "…"]`.');

const Environment = z
  .record(
    z
      .string()
      .max(256)
      .regex(/^[A-Za-z_][A-Za-z0-9_]*$/, 'use a name of letters, digits and _, not starting with a digit'),
    z.string().max(MAX_ENVIRONMENT_BYTES).refine(plain, NUL),
  )
  .refine((env) => Object.keys(env).length <= 256, 'at most 256 variables')
  .refine(
    (env) =>
      Object.entries(env).reduce((sum, [name, value]) => sum + bytesOf(name) + bytesOf(value) + 2, 0) <=
      MAX_ENVIRONMENT_BYTES,
    `at most ${MAX_ENVIRONMENT_BYTES} bytes in all`,
  );

/** The body of `POST /containers/:id/exec`. */
export const ExecRequest = z
  .strictObject({
    cmd: ProgramCommand,
    cwd: z
      .string()
      .max(4096)
      .startsWith('/', 'use an absolute path')
      .refine(plain, NUL)
      .optional()
      .describe('Directory in which it starts, an absolute path; the home if left out.'),
    env: Environment.optional().describe('Variables added to the environment of the desktop.'),
    stdin: z
      .string()
      .refine((text) => bytesOf(text) <= MAX_STDIN_BYTES, `at most ${MAX_STDIN_BYTES} bytes`)
      .optional()
      .describe(`Its input, at most ${MAX_STDIN_BYTES} bytes as UTF-8; empty if left out.`),
    timeoutMs: z
      .number()
      .int()
      .min(100)
      .max(MAX_PROGRAM_MS)
      .optional()
      .describe(
        `How long it may run, ms, counted from its start; ${USUAL_PROGRAM_MS} if left out. Then it and every process that it started are ended.`,
      ),
    background: z
      .boolean()
      .optional()
      .describe('The job completes once the program runs; its output is not recorded.'),
    labels: NewLabels.optional(),
    webhookUrl: WebhookUrl.optional().describe('Address that is called when the run begins and ends.'),
  })
  .meta({ id: 'ExecRequest' });

/** The fields that a worker reads, as JSON under `keys.input`. */
export const ExecInput = z.object({
  cmd: z.array(z.string()),
  cwd: z.string().optional(),
  env: z.record(z.string(), z.string()).optional(),
  stdin: z.string().optional(),
  background: z.boolean().optional(),
});
export type ExecInput = z.infer<typeof ExecInput>;

const encoding = (stream: string) =>
  z.literal('base64').optional().describe(`\`base64\` when ${stream} is no UTF-8; left out for text.`);

/** The result of a program that has ended. */
export const ProgramResult = z
  .object({
    exitCode: z.number().int().nullable().describe('Its exit code; `null` when a signal ended it.'),
    signal: z.string().optional().describe('The signal that ended it: `SIGKILL`.'),
    stdout: z.string().describe(`The last ${MAX_TAIL_BYTES} bytes of its output.`),
    stderr: z.string().describe(`The last ${MAX_TAIL_BYTES} bytes of its errors.`),
    stdoutEncoding: encoding('stdout'),
    stderrEncoding: encoding('stderr'),
    truncated: z.boolean().describe('Whether it wrote more than that; the events have more.'),
  })
  .meta({ id: 'ProgramResult' });
export type ProgramResult = z.infer<typeof ProgramResult>;

/** The result of a program that was started in the background. */
export const BackgroundResult = z
  .object({
    processId: z.string().describe('Id of its process, as `GET /containers/{id}/processes` lists it.'),
  })
  .meta({ id: 'BackgroundResult' });
export type BackgroundResult = z.infer<typeof BackgroundResult>;

/** A process that a request started in a desktop. */
export const DesktopProcess = z
  .object({
    id: z.string().describe('Its id: for a program that a job runs, the id of the job.'),
    pid: z.number().int().describe('Its number inside the desktop.'),
    cmd: z.array(z.string()).describe('The program and its arguments.'),
    startedAt: z.iso.datetime().describe('When it started, in UTC.'),
    state: z.enum(['running', 'ended']).describe('Whether it runs.'),
    exitCode: z.number().int().optional().describe('Its exit code, once it ended without a signal.'),
    signal: z.string().optional().describe('The signal that ended it.'),
    tty: z.boolean().describe('Whether it runs in a terminal.'),
    background: z.boolean().describe('Whether it was started in the background.'),
  })
  .meta({ id: 'DesktopProcess' });
export type DesktopProcess = z.infer<typeof DesktopProcess>;
