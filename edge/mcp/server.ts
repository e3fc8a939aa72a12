import { Server } from '@modelcontextprotocol/sdk/server/index.js';
import { WebStandardStreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/webStandardStreamableHttp.js';
import {
  CallToolRequestSchema,
  ErrorCode,
  ListToolsRequestSchema,
  McpError,
  type Tool as McpTool,
} from '@modelcontextprotocol/sdk/types.js';
import { findTool, TOOLS, type Tool } from '@warmwind/shared/contract/tools';
import { z } from 'zod';
import { callTool, type ToolContext } from './call-tool.ts';
import type { OnProgress } from './wait.ts';

const INSTRUCTIONS =
  'Linux desktops on demand. Start one with start_container, look at it with screenshot or read_text, use it with act and ' +
  'exec, and stop it with stop_container. A failed tool names a code and the next step.';

const listed = ({ name, title, description, hints, input }: Tool): McpTool => ({
  name,
  title,
  description,
  inputSchema: z.toJSONSchema(input, { io: 'input', unrepresentable: 'any' }) as McpTool['inputSchema'],
  annotations: {
    title,
    readOnlyHint: hints.readOnly,
    destructiveHint: hints.destructive ?? false,
    idempotentHint: hints.idempotent ?? false,
    openWorldHint: false,
  },
});

let tools: McpTool[] | undefined;

/** The server asks its clients nothing, so that it has no answers to validate. */
const NO_VALIDATOR = {
  getValidator: (): never => {
    throw new Error('this server requests nothing of its clients');
  },
};

/**
 * Answers one message of the Model Context Protocol. Nothing of it is kept: each request has a server of its
 * own, and no session.
 * @param message a valid JSON-RPC request or notification
 */
export async function answerMessage(
  context: Omit<ToolContext, 'onProgress'>,
  message: { method: string },
): Promise<Response> {
  const server = new Server(
    { name: 'warmwind', title: 'Warmwind', version: '1' },
    { capabilities: { tools: {} }, instructions: INSTRUCTIONS, jsonSchemaValidator: NO_VALIDATOR },
  );
  server.setRequestHandler(ListToolsRequestSchema, () => {
    tools ??= TOOLS.map(listed);
    return { tools };
  });
  server.setRequestHandler(CallToolRequestSchema, ({ params }, { sendNotification }) => {
    const tool = findTool(params.name);
    if (!tool) throw new McpError(ErrorCode.InvalidParams, 'There is no such tool: see tools/list.');
    const progressToken = params._meta?.progressToken;
    let last = 0;
    const onProgress: OnProgress = ({ percent, message: text }) => {
      if (progressToken === undefined || percent <= last) return;
      last = percent;
      const named = text === undefined ? {} : { message: text };
      const progress = { progressToken, progress: percent, total: 100, ...named };
      // A client that has disconnected receives nothing.
      sendNotification({ method: 'notifications/progress', params: progress }).catch(() => undefined);
    };
    return callTool({ ...context, onProgress }, tool, params.arguments);
  });
  const transport = new WebStandardStreamableHTTPServerTransport({
    // A tool may take long: its answer is a stream, which carries progress and signs of life.
    enableJsonResponse: message.method !== 'tools/call',
  });
  await server.connect(transport);
  const { raw } = context.c.req;
  // Every client accepts both kinds of answers, whether it says so or not.
  const headers = new Headers([...raw.headers, ['Accept', 'application/json, text/event-stream']]);
  return transport.handleRequest(new Request(raw.url, { method: 'POST', headers }), { parsedBody: message });
}
