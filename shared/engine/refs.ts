import type { JobKind } from '../contract/registry.ts';

export type ContainerRef = { userId: string; containerId: string };

/** One run of a job. */
export type JobRef = {
  userId: string;
  jobId: string;
  run: number;
  kind: JobKind;
  /** The container that it is about, or the first that it creates; '' for work without one. */
  containerId: string;
  /** All that it creates, when they are several. */
  containerIds?: string[];
};

type Containers = { containerId: string; containerIds?: string[] | null };

/** The ids of the containers that a job creates or is about. */
export const containerIdsOf = ({ containerId, containerIds }: Containers): string[] =>
  containerIds ?? (containerId ? [containerId] : []);

/** The containers that a run creates or is about. */
export const containersOf = (run: JobRef): ContainerRef[] =>
  containerIdsOf(run).map((containerId) => ({ userId: run.userId, containerId }));
