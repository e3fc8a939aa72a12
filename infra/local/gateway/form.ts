import type { Command } from './command.ts';
import type { Replied } from './execute.ts';
import { GatewayError } from './failure.ts';
import { type Answer, type Encoding, encodeReply } from './reply.ts';
import { encodeResp2 } from './resp2.ts';

/** How an answer is written: JSON with its strings encoded, or RESP2 as it is. */
export type Form = Encoding | 'resp2';

/**
 * Reads `Upstash-Encoding` and `Upstash-Response-Format`.
 * @throws GatewayError
 */
export function readForm(headers: Headers): Form {
  const encoding = headers.get('upstash-encoding') === 'base64' ? 'base64' : 'utf8';
  const format = headers.get('upstash-response-format')?.trim().toLowerCase() || 'json';
  if (format === 'json') return encoding;
  if (format !== 'resp2') throw refused('Upstash-Response-Format is json or resp2');
  if (encoding === 'base64') throw refused('Upstash-Encoding: base64 is for JSON: leave it out for resp2');
  return 'resp2';
}

/** The answer to one command. */
export function writeOne(form: Form, command: Command, reply: unknown): string | Buffer {
  if (form === 'resp2') return encodeResp2([{ command, replied: { reply } }]);
  return JSON.stringify({ result: encodeReply(reply, form) });
}

/** The answers to the commands of a pipeline, each in its place. */
export function writePipeline(
  form: Form,
  commands: (Command | GatewayError)[],
  replies: Replied[],
): string | Buffer {
  if (form !== 'resp2') return writeTransaction(form, replies);
  return encodeResp2(
    replies.map((replied, i) => {
      const command = commands[i];
      return { command: command instanceof GatewayError ? undefined : command, replied };
    }),
  );
}

/** A transaction's answers, which are always JSON. */
export function writeTransaction(form: Form, replies: Replied[]): string {
  const encoding = form === 'resp2' ? 'utf8' : form;
  return JSON.stringify(
    replies.map(
      (replied): Answer => ('error' in replied ? replied : { result: encodeReply(replied.reply, encoding) }),
    ),
  );
}

const refused = (message: string) => new GatewayError('refused', `ERR ${message}`);
