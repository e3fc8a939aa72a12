import type { ActionResult } from '@warmwind/shared/contract/actions/answer';
import type { PlannedAction } from '@warmwind/shared/contract/actions/plan';
import type { Step } from '@warmwind/shared/contract/actions/step';
import type { StoredEvent } from '@warmwind/shared/contract/rooms';
import type { Append } from '@warmwind/shared/engine/node/event-log';
import { iso } from '@warmwind/shared/runtime/times';
import type { ActionCall } from './desk.ts';

let lastSeq = 0;
/** Rises also after a restart of this process. */
const nextSeq = (): number => {
  lastSeq = Math.max(lastSeq + 1, Date.now() * 1000);
  return lastSeq;
};

/**
 * Makes the events of the actions that were begun: of a text its length alone, of keys nothing, as they may
 * be those of a password.
 */
export function actionEvents(
  containerId: string,
  { credential }: ActionCall,
  actions: readonly PlannedAction[],
  results: readonly ActionResult[],
): Append[] {
  const time = iso(Date.now());
  return actions.flatMap(({ type, chars, steps }, index) => {
    const result = results[index];
    if (!result || 'skipped' in result) return [];
    const at = lastPoint(steps);
    const data = {
      containerId,
      by: { type: 'agent' as const, credential },
      type,
      ...(at ?? {}),
      ...(chars > 0 ? { chars } : {}),
      ...(result.ok ? {} : { error: result.error.code }),
    };
    const event: StoredEvent = { type: 'container.action', time, data };
    return [{ event, seq: nextSeq(), private: true }];
  });
}

/** Where the pointer is moved to last. */
function lastPoint(steps: readonly Step[]): { x: number; y: number } | undefined {
  const move = steps.findLast((step) => step.do === 'move');
  return move ? { x: move.x, y: move.y } : undefined;
}
