import type { DroppedReason, InputDropped } from '../contract/screen.ts';

export const NOT_HOLDER = 'Another viewer controls this desktop: ask for control to type and click here.';
export const VIEW_ONLY = 'This link or ticket may only view.';

const WHY: Record<DroppedReason, string> = {
  view: VIEW_ONLY,
  not_holder: NOT_HOLDER,
  too_many: 'That was too much at once.',
  host_away: 'Its host is away.',
  no_desktop: 'It takes no input now.',
  not_watching: 'It is not watched here any more.',
  invalid: 'That can’t be done there.',
  disconnected: 'The connection is lost.',
};

/** What a user reads of input that did not reach the desktop. */
export function droppedText({ reason, count }: Pick<InputDropped, 'reason' | 'count'>): string {
  if (reason === 'view' || reason === 'not_holder') return WHY[reason];
  return `${count === 1 ? 'A key or click' : `${count} presses and releases`} did not reach the desktop. ${WHY[reason]}`;
}
