import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';

/** How the server answers one request. */
export type Script = {
  /** Answers with this status, body and headers instead of a stream. */
  refuse?: { status: number; body: unknown; headers?: Record<string, string> };
  /** The pieces of the answer. */
  pieces?: string[];
  everyMs?: number;
  /** After this many pieces the stream pauses until `release`. */
  holdAfter?: number;
  /**
   * How it ends: with a reason, without one, never, with an error in the stream, or by a broken connection.
   */
  end?: 'whole' | 'truncated' | 'stall' | 'error' | 'broken' | 'nonsense';
  /** The message of an error in the stream. */
  error?: string;
  usage?: boolean;
};

export type Asked = { body: Record<string, unknown>; authorization: string | undefined };

/**
 * Starts a server that speaks the OpenAI protocol as vLLM and llama.cpp do, and fails as they do when a
 * script asks for it. It shares no code with the tested client.
 */
export async function startModelServer(models: string[]) {
  const state = {
    models,
    /** The status of `/health`: 503 while it loads. */
    health: 200,
    /** The waiting requests in its metrics; `undefined`: it has no metrics. */
    waiting: undefined as number | undefined,
    /** The answers of the next requests; without a script the answer is complete. */
    scripts: [] as Script[],
    asked: [] as Asked[],
    /** The number of open streams, and of those that their client left. */
    open: 0,
    left: 0,
  };
  let released = Promise.withResolvers<void>();

  const answer = async (asked: Asked, script: Script, response: ServerResponse) => {
    const { pieces = ['Hello', ', ', 'world', '.'], everyMs = 1, end = 'whole', usage = true } = script;
    const send = (data: unknown) => response.write(`data: ${JSON.stringify(data)}\n\n`);
    const chunk = (delta: object, reason: string | null = null) =>
      send({
        id: 'c',
        object: 'chat.completion.chunk',
        model: asked.body.model,
        choices: [{ index: 0, delta, finish_reason: reason }],
      });
    response.writeHead(200, { 'Content-Type': 'text/event-stream' });
    chunk({ role: 'assistant', content: '' });
    for (const [i, content] of pieces.entries()) {
      if (i === script.holdAfter) await Promise.race([released.promise, gone(response)]);
      if (response.destroyed) return;
      chunk({ content });
      await sleep(everyMs);
    }
    if (end === 'stall') return;
    if (end === 'broken') return response.destroy();
    if (end === 'nonsense') response.write('data: {"choices": [\n\n');
    if (end === 'error')
      send({ error: { message: script.error ?? 'the engine died', type: 'server_error' } });
    if (end === 'whole') {
      chunk({}, 'stop');
      if (usage) send({ choices: [], usage: { prompt_tokens: 7, completion_tokens: pieces.length } });
      response.write('data: [DONE]\n\n');
    }
    response.end();
  };

  const complete = async (request: IncomingMessage, response: ServerResponse) => {
    let text = '';
    for await (const part of request) text += part;
    const asked = { body: JSON.parse(text), authorization: request.headers.authorization };
    state.asked.push(asked);
    const script = state.scripts.shift() ?? {};
    if (script.refuse) {
      const { status, body, headers } = script.refuse;
      response.writeHead(status, { 'Content-Type': 'application/json', ...headers });
      response.end(JSON.stringify(body));
      return;
    }
    state.open += 1;
    response.once('close', () => {
      state.open -= 1;
      if (!response.writableFinished) state.left += 1;
    });
    await answer(asked, script, response);
  };

  const server = createServer((request, response) => {
    const json = (status: number, body: unknown) => {
      response.writeHead(status, { 'Content-Type': 'application/json' });
      response.end(JSON.stringify(body));
    };
    const { url } = request;
    if (url === '/health') json(state.health, {});
    else if (url === '/v1/models' && state.health !== 200)
      json(state.health, { error: { message: 'loading' } });
    else if (url === '/v1/models') json(200, { data: state.models.map((id) => ({ id, object: 'model' })) });
    else if (url === '/metrics' && state.waiting !== undefined) {
      response.end(`# HELP x\nvllm:num_requests_waiting{model_name="m"} ${state.waiting}.0\nother 900\n`);
    } else if (url === '/v1/chat/completions') void complete(request, response);
    else json(404, { error: { message: 'no such path' } });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };

  return Object.assign(state, {
    url: `http://127.0.0.1:${port}`,
    /** Continues the paused streams. */
    release: () => {
      released.resolve();
      released = Promise.withResolvers<void>();
    },
    stop: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  });
}

export type TestModelServer = Awaited<ReturnType<typeof startModelServer>>;

const gone = (response: ServerResponse) => new Promise<void>((resolve) => response.once('close', resolve));
