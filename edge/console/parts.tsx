import { signal } from '@preact/signals';
import type { Container, EndReason } from '@warmwind/shared/contract/containers';
import type { Job, WaitReason } from '@warmwind/shared/contract/jobs';
import type { Labels } from '@warmwind/shared/contract/labels';
import type { ComponentChildren } from 'preact';
import { useEffect, useState } from 'preact/hooks';

export const Brand = () => (
  <div class="brand">
    <svg viewBox="0 0 32 32" width="28" height="28" aria-hidden="true">
      <rect width="32" height="32" rx="8" fill="currentColor" />
      <path
        d="M5 12q5.5-5 11 0t11 0M5 21q5.5-5 11 0t11 0"
        fill="none"
        stroke="white"
        stroke-width="3"
        stroke-linecap="round"
      />
    </svg>
    <strong>Warmwind</strong>
  </div>
);

export const State = ({ state }: { state: string }) => (
  <span class={`state ${state}`}>{state.replace('_', ' ')}</span>
);

/** The labels of a desktop or a job. */
export const LabelList = ({ labels = {} }: { labels?: Labels | undefined }) => {
  const entries = Object.entries(labels);
  if (entries.length === 0) return null;
  return (
    <ul class="labels" aria-label="Labels">
      {entries.map(([key, value]) => (
        <li key={key} title={`${key}: ${value}`}>
          {key}: {value}
        </li>
      ))}
    </ul>
  );
};

const Progress = ({ percent, text }: { percent: number; text?: string | undefined }) => (
  <div class="progress" role="progressbar" aria-valuenow={percent} aria-valuemin={0} aria-valuemax={100}>
    <i style={{ width: `${percent}%` }} />
    <span>{text ?? `${percent} %`}</span>
  </div>
);

/** What a start waits for, in a line of the console. */
const WAITING: Record<WaitReason, string> = {
  memory: 'free memory',
  cpus: 'free CPUs',
  disk: 'free disk space',
  gpus: 'a free GPU',
  containers: 'a host with fewer desktops',
  image: 'a host with its image',
  draining: 'a host that takes desktops',
};

/** The progress of a job that has not ended: what it waits for and at which place, or its latest message. */
export function JobProgress({ job, message }: { job: Job; message: string | undefined }) {
  const { progress, waiting } = job;
  const text = waiting && `waits for ${WAITING[waiting.reason]} · position ${waiting.position}`;
  return <Progress percent={progress} text={text ?? message} />;
}

export const Empty = ({ children }: { children: ComponentChildren }) => <p class="empty">{children}</p>;

const NOTICE_MS = 12_000;

/** Shows a notice until one of `resetOn` changes, the user dismisses it, or `NOTICE_MS` have passed. */
export function useNotice(
  ...resetOn: unknown[]
): [notice: ComponentChildren, notify: (text: string) => void] {
  const [text, notify] = useState('');
  useEffect(() => notify(''), resetOn);
  useEffect(() => {
    if (!text) return;
    const timer = setTimeout(() => notify(''), NOTICE_MS);
    return () => clearTimeout(timer);
  }, [text]);
  const notice = text && (
    <p class="notice" role="alert">
      {text}
      <button type="button" class="plain" aria-label="Dismiss" onClick={() => notify('')}>
        ×
      </button>
    </p>
  );
  return [notice, notify];
}

/** The name to show for a viewer: a guest by a share link has the user id of its host. */
export const nameOf = (who: { id: string; userId: string; shared?: boolean | undefined }): string =>
  who.shared ? `guest ${who.id.slice(0, 4)}` : who.userId;

/** Describes how a desktop has ended. */
export const endOf = ({ state, endReason }: Pick<Container, 'state' | 'endReason'>): string =>
  endReason ? ENDS[endReason] : state;

const ENDS: Record<EndReason, string> = {
  expired: 'time to live expired',
  idle: 'stopped when idle',
  engine_restarted: 'lost when its engine was restarted',
};

const tick = signal(0);
setInterval(() => {
  tick.value += 1;
}, 10_000);

/** Formats a time relative to now, such as `5 min ago`. A component that shows it is updated. */
export function ago(iso: string | undefined): string {
  tick.value;
  if (!iso) return '';
  const seconds = Math.round((Date.now() - Date.parse(iso)) / 1000);
  const [past, distance] = [seconds >= 0, Math.abs(seconds)];
  const text =
    distance < 60
      ? `${distance} s`
      : distance < 3600
        ? `${Math.round(distance / 60)} min`
        : distance < 86_400
          ? `${Math.round(distance / 3600)} h`
          : `${Math.round(distance / 86_400)} d`;
  return past ? `${text} ago` : `in ${text}`;
}
