import { checkCall } from '@warmwind/shared/contract/call-refusal';
import type { CallCommand } from '@warmwind/shared/contract/command';
import { ApiError } from '@warmwind/shared/contract/errors';
import type { TicketClaims } from '@warmwind/shared/contract/tickets';
import type { CallRequest } from '@warmwind/shared/engine/node/caller';
import { subjectOf } from '../auth/ticket.ts';
import type { RecordSources } from '../rooms/records.ts';
import { ownedDesktop } from '../screen/owned.ts';

/** A request for a call; its input is not validated yet. */
export type UncheckedCall = {
  command: CallCommand;
  containerId: string;
  uncheckedInput: unknown;
  keyHash?: string | undefined;
  /** The incarnation that it is for; any if left out. */
  incarnation?: number | undefined;
};

/**
 * Checks everything of a call that can be checked without its host.
 * @throws ApiError
 */
export async function admitCall(
  recordSources: RecordSources,
  ticket: TicketClaims,
  { command, containerId, uncheckedInput, keyHash, incarnation }: UncheckedCall,
): Promise<Omit<CallRequest, 'signal'> & { subject: string }> {
  const input = inputOf(command, uncheckedInput);
  const container = await ownedDesktop(recordSources, ticket, containerId);
  if (command.mode === 'control' && ticket.mode !== 'control') {
    throw new ApiError('forbidden', 'This ticket may only view: ask for one with mode "control".');
  }
  checkCall(command, container, incarnation);
  return {
    command,
    userId: ticket.sub,
    subject: subjectOf(ticket),
    containerId,
    incarnation: container.incarnation,
    credential: ticket.credential ?? `ticket:${ticket.jti}`,
    input,
    keyHash,
  };
}

/** @throws ApiError `bad_request` */
function inputOf({ input }: CallCommand, uncheckedInput: unknown): object {
  const { data, error } = input.safeParse(uncheckedInput);
  if (!error) return data;
  const issues = error.issues.slice(0, 20).map(({ path, message }) => ({ path: path.join('.'), message }));
  const text = issues.map(({ path, message }) => `${path}: ${message}`).join('; ');
  throw new ApiError('bad_request', `Correct the input: ${text}`, { issues });
}
