import { z } from 'zod';
import type { ErrorCode } from './errors.ts';
import { isUserId } from './ids.ts';

/** The audience of API tokens and of relay tickets; neither is accepted for the other. */
export const API_AUDIENCE = 'warmwind';
export const RELAY_AUDIENCE = 'warmwind-relay';

/** The longest message that a client may send, bytes; a longer one ends its connection. */
export const MAX_MESSAGE_BYTES = 64 * 1024;

export const TICKET_DEFAULT_SECONDS = 3600;
export const TICKET_MAX_SECONDS = 86_400;

/**
 * The body of `POST /realtime/token`: a ticket for the caller, or with `containerId` a share link to that
 * desktop.
 */
export const TicketRequest = z
  .strictObject({
    containerId: z
      .string()
      .min(1)
      .max(64)
      .optional()
      .describe('Makes a share link for this container; without it the ticket is your own.'),
    mode: z.enum(['view', 'control']).default('view').describe('`control` permits input.'),
    ttlSeconds: z
      .number()
      .int()
      .min(10)
      .max(TICKET_MAX_SECONDS)
      .default(TICKET_DEFAULT_SECONDS)
      .describe('Seconds for which it is valid.'),
  })
  .meta({ id: 'TicketRequest' });

/** The answer of `POST /realtime/token`. `url` is the address of the relay's Socket.IO server. */
export const Ticket = z
  .object({
    id: z.string().describe('Revokes it.'),
    token: z.string().describe('The ticket: `auth.token` of the Socket.IO connection.'),
    url: z.string().describe('Address of the relay.'),
    expiresAt: z.iso.datetime().describe('When it expires, in UTC.'),
  })
  .meta({ id: 'Ticket' });
export type Ticket = z.infer<typeof Ticket>;

/** Share links of one user that work at the same time. */
export const MAX_SHARE_LINKS = 200;

/** A share link as `GET /realtime/tokens` lists it: `id` revokes it. */
export const ShareLink = z
  .object({
    id: z.string().describe('Revokes it.'),
    containerId: z.string().describe('The container that it opens.'),
    mode: z.enum(['view', 'control']).describe('`control` permits input.'),
    createdAt: z.iso.datetime().describe('When it was made, in UTC.'),
    expiresAt: z.iso.datetime().describe('When it expires, in UTC.'),
  })
  .meta({ id: 'ShareLink' });
export type ShareLink = z.infer<typeof ShareLink>;

/**
 * The claims of a relay ticket (HS256, `aud` = `warmwind-relay`). `sub` owns all that the ticket opens; with
 * `containerId` it opens the room of that desktop and nothing else.
 */
export const TicketClaims = z.object({
  sub: z.string().refine(isUserId),
  jti: z.string().min(1).max(64),
  /** When it was issued, seconds since 1970 with a fraction. */
  iat: z.number().default(0),
  exp: z.number(),
  containerId: z.string().max(64).optional(),
  mode: z.enum(['view', 'control']),
  /** The id of what authenticated the request that the edge sends with it. */
  credential: z.string().min(1).max(160).optional(),
});
export type TicketClaims = z.infer<typeof TicketClaims>;

/**
 * A revocation, as it is published on `REVOKED_CHANNEL`: of one ticket or share link, or of all of a user's
 * that were issued until `before`, ms since 1970.
 */
export const Revoked = z.union([
  z.object({ userId: z.string(), ticketId: z.string() }),
  z.object({ userId: z.string(), before: z.number() }),
]);
export type Revoked = z.infer<typeof Revoked>;

/**
 * Paths of the relay over HTTP, with `Authorization: Bearer <ticket>`: a job's log as server-sent events,
 * resumable by `Last-Event-ID`, and the job itself as soon as it has ended (204 when it has not within
 * `?waitMs=`).
 */
export const jobEventsPath = (jobId: string): string => `/jobs/${jobId}/events`;
export const jobEndPath = (jobId: string, waitMs: number): string => `/jobs/${jobId}/end?waitMs=${waitMs}`;
/** The longest `Prefer: wait`, ms. */
export const MAX_WAIT_MS = 10_000;

/**
 * The WebSocket subprotocols of the relay's byte streams: a client offers `warmwind` and `ticket.<ticket>`, and
 * the relay selects the first.
 */
export const STREAM_PROTOCOL = 'warmwind';
export const TICKET_PROTOCOL_PREFIX = 'ticket.';
/** Addresses of the relay's byte streams over a WebSocket. */
export const vncPath = (containerId: string): string => `/containers/${containerId}/vnc`;
export const tunnelPath = (containerId: string, port: number): string =>
  `/containers/${containerId}/tunnels/${port}`;

/** Every acknowledgement of the relay. */
export type Ack<T extends object = object> =
  | ({ ok: true } & T)
  | { ok: false; code: ErrorCode; message: string };
/** `truncated`: events after `after` are lost, and snapshots of the present come first. */
export const SubscribeAnswer = z.object({ truncated: z.boolean() });
export type SubscribeAck = Ack<z.infer<typeof SubscribeAnswer>>;

/** The payload of `relay:draining`: the relay closes the socket within this time. Reconnect then. */
export const Draining = z.object({ withinMs: z.number() });
export type Draining = z.infer<typeof Draining>;
