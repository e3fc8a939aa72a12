import type { ActionEvent } from '@warmwind/shared/contract/states';
import { useEffect, useState } from 'preact/hooks';
import { agentName } from './control.tsx';

/** How long the last action of an agent is shown, ms. */
const SHOWN_MS = 5000;

type Action = ActionEvent['data'];

/** The last action of an agent on a desktop, for some seconds. */
export function useActivity(): [Action | undefined, (action: Action) => void] {
  const [action, setAction] = useState<Action>();
  useEffect(() => {
    if (!action) return undefined;
    const timer = setTimeout(() => setAction(undefined), SHOWN_MS);
    return () => clearTimeout(timer);
  }, [action]);
  return [action, setAction];
}

/** Shows what an agent did: `agent 1f2e: click at 640, 400`. */
export const Activity = ({ action }: { action: Action | undefined }) =>
  action ? <small class="activity">{describe(action)}</small> : null;

function describe({ by, type, x, y, chars, error }: Action): string {
  const where = x === undefined || y === undefined ? '' : ` at ${x}, ${y}`;
  const what = chars === undefined ? where : ` ${chars} characters`;
  return `${agentName(by.credential)}: ${type.replaceAll('_', ' ')}${what}${error ? ` (${error})` : ''}`;
}
