import type { ContainerState, EndReason } from '../contract/containers.ts';
import { HOST_AWAY } from '../contract/screen.ts';
import { DISCONNECTED } from './screen.ts';

/**
 * The state of a viewer. `live` shows the present screen. `frozen` shows an older screen and accepts no
 * input. All other states show a text in place of the screen.
 */
export type ViewerState = 'connecting' | 'starting' | 'live' | 'frozen' | 'ended' | 'refused';

/** The facts from which the state of a viewer follows. */
export type ScreenStatus = {
  /** The relay has admitted the viewer. */
  watching: boolean;
  /** The viewer has received a keyframe, however old. */
  picture: boolean;
  /** Why no newer frame arrives. */
  gone?: string | undefined;
  /** Why the relay refuses the viewer. */
  refused?: string | undefined;
  /** The desktop's state, from the events of its room. */
  desktop?: ContainerState | undefined;
  /** Why the desktop was stopped without a request. */
  reason?: EndReason | undefined;
};

const ENDED: Partial<Record<ContainerState, string>> = {
  stopped: 'The desktop has been stopped.',
  failed: 'The desktop could not be started, or ended unexpectedly.',
  lost: 'The host of this desktop is gone.',
};
const ENDED_BECAUSE: Record<EndReason, string> = {
  expired: 'The desktop’s time to live is over.',
  idle: 'The desktop has been stopped because it was not used.',
  engine_restarted: 'The desktop ended because the engine of its host was restarted.',
};
const STARTING: Partial<Record<ContainerState, string>> = {
  requested: 'The desktop is waiting for a host.',
  starting: 'The desktop is starting.',
};
const RESTING: Partial<Record<ContainerState, string>> = {
  paused: 'The desktop is paused.',
  stopping: 'The desktop is being stopped.',
};
const FROZEN: Record<string, string> = {
  [HOST_AWAY]:
    'Frozen: the desktop’s host is away. Your input is not sent. The screen returns automatically.',
  [DISCONNECTED]:
    'Frozen: the connection is interrupted. Your input is not sent. The screen returns automatically.',
};

/** @returns the state, and a line of text for every state but `live` */
export function statusOf(facts: ScreenStatus): { state: ViewerState; text: string } {
  const { watching, picture, refused, desktop = 'running', reason } = facts;
  // The screen of a paused desktop returns when it is resumed, whether its host was away or not.
  const gone = desktop === 'paused' && facts.gone === HOST_AWAY ? undefined : facts.gone;
  const status = (state: ViewerState, text: string) => ({ state, text });
  const because = (desktop === 'stopped' || desktop === 'lost') && reason ? ENDED_BECAUSE[reason] : undefined;
  const [ended, starting, resting] = [because ?? ENDED[desktop], STARTING[desktop], RESTING[desktop]];
  if (ended) return status('ended', ended);
  if (refused) return status('refused', refused);
  if (!picture) {
    if (!watching || gone === DISCONNECTED) return status('connecting', 'Connecting…');
    if (starting) return status('starting', starting);
    if (gone === HOST_AWAY) {
      return status('starting', 'The desktop’s host is away. The screen appears when the host returns.');
    }
    return status('starting', resting ?? 'Waiting for the screen…');
  }
  if (gone !== undefined) {
    return status('frozen', FROZEN[gone] ?? 'Frozen: the screen is interrupted. It returns automatically.');
  }
  return resting ? status('frozen', resting) : status('live', '');
}
