import { type Instance, LABELS, RFB_DIRECTORY } from './spec.ts';

/**
 * Identity by labels. `instanceId` is undefined for earlier releases, `containerId` for an instance without a
 * container.
 */
export type Labelled = { instanceId: string | undefined; containerId: string | undefined; fence: number };
/** An engine container of this fleet and host, with its GPUs. `id` is the engine's. A paused one runs too. */
export type Found = Labelled & {
  id: string;
  running: boolean;
  paused: boolean;
  gpuIds: string[];
  /** The directory of its sockets on this host; left out in lists. */
  sockets?: string | undefined;
};
/** A volume of this fleet and host. */
export type FoundVolume = Labelled & { name: string };

/** How an engine container ended: `log` is the end of its output in frames. */
export type EngineExit = {
  running: boolean;
  exitCode: number;
  oomKilled: boolean;
  /** The engine's own error, when the container did not start. */
  error: string;
  log: Buffer;
};

/** Reads the identity of an engine object. */
export const readLabels = (labels: Record<string, string> | null): Labelled => ({
  instanceId: labels?.[LABELS.instance],
  containerId: labels?.[LABELS.container],
  fence: Number(labels?.[LABELS.fence]),
});

/** Whether an instance was created without a container, for the warm pool. Labels never change. */
export const isWarm = ({ containerId }: Labelled): boolean => !containerId;

/** Reads the devices of an engine container. */
export const readGpuIds = (labels: Record<string, string> | null): string[] =>
  labels?.[LABELS.gpuIds]?.split(',').filter(Boolean) ?? [];

/** Whether an engine object belongs to the instance of a record. */
export const isInstance = (found: Labelled, { containerId, instanceId, fence }: Instance): boolean =>
  found.instanceId === undefined
    ? found.containerId === containerId && found.fence === fence
    : found.instanceId === instanceId;

/** The directory of a container's sockets on this host. */
export const socketsIn = (mounts: { Destination: string; Source: string }[]): string | undefined =>
  mounts.find(({ Destination }) => Destination === RFB_DIRECTORY)?.Source;
