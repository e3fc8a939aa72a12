import { containerTunnel } from '@warmwind/shared/contract/sessions/container-tunnel';
import { containerVnc } from '@warmwind/shared/contract/sessions/container-vnc';
import { STREAM_PROTOCOL, TICKET_PROTOCOL_PREFIX } from '@warmwind/shared/contract/tickets';

const PATH = /^\/containers\/([\w-]{1,64})\/(?:vnc|tunnels\/([1-9]\d{0,4}))$/;

/** The session that a WebSocket asks for by its path. */
export type StreamRequest = { kind: string; containerId: string; input: object };

/**
 * Reads the path of a session's WebSocket: `/containers/:id/vnc` or `/containers/:id/tunnels/:port`.
 * @returns `undefined` for any other address; a query is not accepted
 */
export function streamRequestOf(url: string): StreamRequest | undefined {
  const [, containerId, digits] = PATH.exec(url) ?? [];
  if (containerId === undefined) return undefined;
  if (digits === undefined) return { kind: containerVnc.kind, containerId, input: {} };
  const input = containerTunnel.input.safeParse({ port: Number(digits) }).data;
  return input && { kind: containerTunnel.kind, containerId, input };
}

/**
 * Reads the ticket from `Sec-WebSocket-Protocol: warmwind, ticket.<ticket>`.
 * @returns `undefined` unless both are offered
 */
export function offeredTicket(header: string | undefined): string | undefined {
  const offers = (header ?? '').split(',').map((offer) => offer.trim());
  const ticket = offers.find((offer) => offer.startsWith(TICKET_PROTOCOL_PREFIX));
  return offers.includes(STREAM_PROTOCOL) ? ticket?.slice(TICKET_PROTOCOL_PREFIX.length) : undefined;
}
