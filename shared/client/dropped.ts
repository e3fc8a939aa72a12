import type { DroppedReason, InputDropped } from '../contract/screen.ts';

/** Shown when another viewer holds control. */
export const NOT_HOLDER = 'Another viewer controls this desktop. Request control to type and click here.';
/** Shown to a viewer whose ticket may only view. */
export const VIEW_ONLY = 'This link or ticket may only view.';

const REASONS: Record<DroppedReason, string> = {
  view: VIEW_ONLY,
  not_holder: NOT_HOLDER,
  too_many: 'The desktop received too much input at once.',
  host_away: 'Its host is away.',
  no_desktop: 'It accepts no input now.',
  not_watching: 'It is no longer watched here.',
  invalid: 'The input is not valid there.',
  disconnected: 'The connection is lost.',
};

/** Builds the text that informs a user of input that did not reach the desktop. */
export function droppedText({ reason, count }: Pick<InputDropped, 'reason' | 'count'>): string {
  if (reason === 'view' || reason === 'not_holder') return REASONS[reason];
  const input = count === 1 ? 'A key or click' : `${count} presses and releases`;
  return `${input} did not reach the desktop. ${REASONS[reason]}`;
}
