import { z } from 'zod';
import type { CallCommand, JobCommand } from './command.ts';
import { CONTAINER_STATES } from './containers.ts';
import { MAX_PATH_BYTES } from './files.ts';
import { LabelFilter } from './labels.ts';
import type { LimitScope } from './limits.ts';
import { CALL_COMMANDS, JOB_COMMANDS } from './registry.ts';
import { type CommandTool, ContainerArgument, JobArgument, type ToolHints } from './tool.ts';

/** A tool of the MCP server: a route of the edge, with the arguments from which its request is made. */
export type Tool = {
  name: string;
  title: string;
  description: string;
  hints: ToolHints;
  /** Its arguments; an unknown one is refused. */
  input: z.ZodObject;
  method: 'get' | 'post' | 'put' | 'delete';
  /**
   * With `{name}` for each argument that is a part of it, `{+name}` for one whose slashes stay; the others are
   * the query or the body.
   */
  path: string;
  /** Its argument `text` or `base64` is the body, as bytes. */
  sendsBytes: boolean;
  fixed: Readonly<Record<string, unknown>>;
  /** Arguments of a call, without ids. */
  example: Readonly<Record<string, unknown>>;
  waitMs: number;
  /** The rate limits that a request of its route consumes. */
  limits: readonly LimitScope[];
};

/** The ids that stand in paths, by the name of their argument. */
const IDS = { containerId: ContainerArgument, jobId: JobArgument };

type ToolOptions = Pick<Tool, 'method' | 'path' | 'limits'> &
  CommandTool & { input: z.ZodObject; example?: object; sendsBytes?: boolean };

function defineTool({
  input,
  example = {},
  fixed = {},
  waitMs = 0,
  sendsBytes = false,
  ...tool
}: ToolOptions): Tool {
  const ids = Object.entries(IDS).filter(([name]) => tool.path.includes(`{${name}}`));
  const shown = Object.entries(example).filter(([name]) => name in input.shape);
  return {
    ...tool,
    example: Object.fromEntries(shown),
    fixed,
    waitMs,
    sendsBytes,
    input: z.strictObject({ ...Object.fromEntries(ids), ...input.shape }),
  };
}

type ToolCommand = Pick<CallCommand | JobCommand, 'http' | 'input' | 'example' | 'limits' | 'tool'>;

/** The tool of a command; none for a command that is not offered as one. */
function commandTool({ http, input, example, limits, tool }: ToolCommand): Tool[] {
  if (!tool) return [];
  const fields = tool.input ?? input;
  if (!(fields instanceof z.ZodObject)) throw new Error(`the tool ${tool.name} needs an input of its own`);
  const path = http.path.replace('{id}', '{containerId}');
  return [
    defineTool({ ...tool, input: fields, example: example as object, method: http.method, path, limits }),
  ];
}

const READS = { method: 'get', limits: ['user'], hints: { readOnly: true, idempotent: true } } as const;

const FILE = { path: '/containers/{containerId}/files/{+path}', limits: ['containers.files'] } as const;
const filePath = z
  .string()
  .min(1)
  .max(MAX_PATH_BYTES)
  .describe('Relative to the home, such as `Documents/report.txt`.');

/** Tools of files and folders, below the home of a desktop. */
const FILES: readonly ToolOptions[] = [
  {
    ...READS,
    ...FILE,
    name: 'list_files',
    title: 'List files',
    description: "Lists a folder of a desktop's home.",
    input: z.strictObject({
      path: z
        .string()
        .max(MAX_PATH_BYTES)
        .default('')
        .describe('Relative to the home; the home itself if left out.'),
    }),
    example: { path: '' },
  },
  {
    ...READS,
    ...FILE,
    name: 'read_file',
    title: 'Read a file',
    description:
      "Reads a file of a desktop's home, at most 1 MB: as `text` when it is UTF-8, otherwise as `base64`.",
    input: z.strictObject({ path: filePath }),
    example: { path: 'report.txt' },
  },
  {
    ...FILE,
    method: 'put',
    name: 'write_file',
    title: 'Write a file',
    description:
      "Writes or replaces a file of a desktop's home, at most 1 MB. Folders of its path are created.",
    input: z.strictObject({
      path: filePath,
      text: z
        .string()
        .max(2 ** 20)
        .optional()
        .describe('The content as text; or give base64.'),
      base64: z
        .base64('use base64')
        .max(Math.ceil(2 ** 20 / 3) * 4)
        .optional()
        .describe('The content in base64.'),
    }),
    example: { path: 'report.txt', text: 'Hello' },
    sendsBytes: true,
    hints: { readOnly: false, destructive: true, idempotent: true },
  },
  {
    ...FILE,
    method: 'delete',
    name: 'delete_file',
    title: 'Delete a file or folder',
    description: "Deletes a file of a desktop's home, or a folder with all that is in it.",
    input: z.strictObject({ path: filePath }),
    example: { path: 'report.txt' },
    hints: { readOnly: false, destructive: true, idempotent: true },
  },
];

/** Tools of routes that are not commands. */
const ROUTES: readonly ToolOptions[] = [
  ...FILES,
  {
    ...READS,
    name: 'list_containers',
    title: 'List your desktops',
    description: 'Lists your desktops, the newest first.',
    path: '/containers',
    input: z.strictObject({
      state: z.enum(CONTAINER_STATES).optional().describe('Only those in this state.'),
      label: z
        .array(LabelFilter)
        .max(16)
        .optional()
        .describe('Only those with all of these labels, each as `key:value`.'),
      limit: z.number().int().min(1).max(100).default(20).describe('How many at most.'),
      cursor: z.string().max(200).optional().describe('`nextCursor` of the page before.'),
    }),
  },
  {
    ...READS,
    name: 'get_job',
    title: 'Look at a job',
    description: 'Reads the state and the result of a job that had not ended when another tool returned.',
    path: '/jobs/{jobId}',
    input: z.strictObject({}),
  },
  {
    name: 'cancel_job',
    title: 'Cancel a job',
    description: 'Cancels a job that has not ended.',
    method: 'delete',
    path: '/jobs/{jobId}',
    limits: ['user'],
    hints: { readOnly: false, destructive: true, idempotent: true },
    input: z.strictObject({}),
  },
];

/** Every tool: those of commands, then those of other routes. */
export const TOOLS: readonly Tool[] = [
  ...[...JOB_COMMANDS, ...CALL_COMMANDS].flatMap(commandTool),
  ...ROUTES.map(defineTool),
];

const byName = new Map(TOOLS.map((tool) => [tool.name, tool]));

/** @returns the tool of this name; `undefined` when there is none */
export const findTool = (name: unknown): Tool | undefined =>
  typeof name === 'string' ? byName.get(name) : undefined;
