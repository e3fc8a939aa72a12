import type { Tool } from '@warmwind/shared/contract/tools';
import { badRequest } from '../http/errors.ts';

/** The arguments of a tool, as its schema accepts them. */
export type ToolArguments = Readonly<Record<string, unknown>>;

/** A request of the edge: its address and `fetch`'s options. */
export type ToolRequest = {
  path: string;
  init: { method: string; body?: string | Uint8Array<ArrayBuffer> };
  /** The media type of its body. */
  type?: string;
};

/**
 * Makes the request of a tool: some of its arguments are in the path, the others the query or the body.
 * @throws ApiError `bad_request` for an argument that can't be part of a path, or a content that is missing
 */
export function toolRequest({ method, path, fixed, sendsBytes }: Tool, given: ToolArguments): ToolRequest {
  const rest: Record<string, unknown> = { ...fixed, ...given };
  const address = path.replaceAll(/\{(\+?)(\w+)\}/g, (_part, many: string, name: string) => {
    const { [name]: value } = rest;
    delete rest[name];
    const names = many ? String(value).split('/') : [String(value)];
    return names.map((text) => encodedName(name, text)).join('/');
  });
  const init = { method: method.toUpperCase() };
  if (sendsBytes) {
    return { path: address, init: { ...init, body: bytesOf(rest) }, type: 'application/octet-stream' };
  }
  if (method === 'post' || method === 'put') {
    return { path: address, init: { ...init, body: JSON.stringify(rest) }, type: 'application/json' };
  }
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(rest)) {
    for (const one of value === undefined ? [] : [value].flat()) query.append(name, String(one));
  }
  return { path: query.size > 0 ? `${address}?${query}` : address, init };
}

function encodedName(argument: string, text: string): string {
  // An address has no such part: it would be that of another route.
  if (text === '.' || text === '..') {
    throw badRequest([{ path: argument, message: '. and .. can not be in an address' }]);
  }
  return encodeURIComponent(text);
}

/** The content that a tool sends: its argument `text`, or `base64`. */
function bytesOf({ text, base64 }: ToolArguments): Uint8Array<ArrayBuffer> {
  if ((text === undefined) === (base64 === undefined)) {
    throw badRequest([{ path: 'text', message: 'give either text or base64' }]);
  }
  return text === undefined ? Uint8Array.fromBase64(String(base64)) : new TextEncoder().encode(String(text));
}
