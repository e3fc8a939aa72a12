import type { Tool } from '@warmwind/shared/contract/tools';
import { badRequest } from '../http/errors.ts';

/** The arguments of a tool, as its schema accepts them. */
export type ToolArguments = Readonly<Record<string, unknown>>;

/** A request of the edge: its address and `fetch`'s options. */
export type ToolRequest = { path: string; init: { method: string; body?: string } };

/**
 * Makes the request of a tool: some of its arguments are in the path, the others the query or the body.
 * @throws ApiError `bad_request` for an argument that can't be part of a path
 */
export function toolRequest({ method, path, fixed }: Tool, given: ToolArguments): ToolRequest {
  const rest: Record<string, unknown> = { ...fixed, ...given };
  const address = path.replaceAll(/\{(\w+)\}/g, (_part, name: string) => {
    const { [name]: value } = rest;
    delete rest[name];
    // An address has no such part: it would be that of another route.
    if (/^\.{0,2}$/.test(String(value)))
      throw badRequest([{ path: name, message: 'can not be in an address' }]);
    return encodeURIComponent(String(value));
  });
  const init = { method: method.toUpperCase() };
  if (method === 'post' || method === 'put') {
    return { path: address, init: { ...init, body: JSON.stringify(rest) } };
  }
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(rest)) if (value !== undefined) query.set(name, String(value));
  return { path: query.size > 0 ? `${address}?${query}` : address, init };
}
