import { z } from 'zod';

/** How a command is offered to models, as a tool of the MCP server at the edge. */
export type CommandTool = {
  name: string;
  /** For people. */
  title: string;
  /** For models: its effect, and what to call next. */
  description: string;
  /** Its arguments besides the ids in the path, where they differ from the input of the command. */
  input?: z.ZodObject;
  /** Fields of the request that no argument sets. */
  fixed?: Readonly<Record<string, unknown>>;
  hints: ToolHints;
  /** How long a tool whose command is a job waits for its end, ms; 0 if left out. */
  waitMs?: number;
};

/** What a client may assume before it lets a model call a tool. */
export type ToolHints = {
  /** It changes nothing. */
  readOnly: boolean;
  /** It may remove or replace something that is not restored. */
  destructive?: boolean;
  /** The same call again has no further effect. */
  idempotent?: boolean;
};

/** The largest side of a picture that every model takes, pixels. */
export const MODEL_PICTURE_SIDE = 1568;

/** An id among the arguments of a tool. */
const id = (description: string) =>
  z
    .string()
    .regex(/^[A-Za-z0-9_-]{1,64}$/, 'use an id as it was returned')
    .describe(description);

export const ContainerArgument = id('The desktop, as start_container or list_containers names it.');
export const JobArgument = id('The job, as another tool named it.');
