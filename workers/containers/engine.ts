import { lstat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ContainerSpec } from '@warmwind/shared/contract/containers';
import type { Logger } from '@warmwind/shared/runtime/node/log';
import Docker from 'dockerode';
import type { Metrics } from '../metrics.ts';
import { JobFailureError } from '../runtime/failures.ts';
import type { Usage } from '../supervisor/process.ts';
import { usageFromStats } from '../usage/stats.ts';
import { type Remembered, readEvents } from './engine-restart.ts';
import type { EngineExit } from './exit.ts';
import { type Capacity, Reservations, type Reserved } from './reservations.ts';
import {
  createOptions,
  type Instance,
  instanceName,
  instanceOfVolume,
  LABELS,
  RFB_DIRECTORY,
  RFB_SOCKET,
  SUPERVISOR_PATH,
  SUPERVISOR_SOCKET,
  terminalsName,
} from './spec.ts';

/** The time-out of a call to the engine, ms. */
const CALL_TIMEOUT_MS = 20_000;
/** A volume without labels that is older than this, ms, has lost them. */
const LABELLED_WITHIN_MS = 10_000;
/** The time-out of the removal of a container, ms. */
const REMOVAL_MS = 10_000;
/** The time between SIGTERM and SIGKILL of a desktop, s. */
const STOP_GRACE_S = 2;
/** Their number bounds the answer of an engine that bounds its logs differently. */
const LAST_OUTPUT = { follow: false, stdout: true, stderr: true, tail: 4000 } as const;
const MIB = 2 ** 20;
/** For how long the memory of an instance that may be changed counts as known, ms. */
const MEMORY_KNOWN_MS = 10_000;
/** Most directories of sockets that are remembered. */
const MAX_DIRECTORIES = 10_000;

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

/** The part of the engine's answer about itself that is read. */
type DockerInfo = {
  ID: string;
  Name: string;
  NCPU: number;
  SecurityOptions?: string[];
  ServerVersion?: string;
};
type EngineInfo = { machine: string; seccomp: boolean; version: string; cpus: number };

export type EngineOptions = {
  socketPath: string;
  fleet: string;
  host: string;
  egressNetwork: string | undefined;
  capacity: Capacity;
  metrics: Metrics;
  log: Logger;
};

/** The Docker Engine as one host of one fleet uses it. It never touches objects without their labels. */
export class Engine {
  readonly #docker: Docker;
  readonly #o: EngineOptions;
  readonly #reservations: Reservations;
  #info: EngineInfo | undefined;
  #asking: Promise<EngineInfo> | undefined;
  /** The directories of sockets on this host by the engine's id of the container. They never change. */
  readonly #directories = new Map<string, string>();
  /** Memory limits that no label has, by the engine's id, and when they were read. */
  readonly #memory = new Map<string, { memoryMb: number; at: number }>();

  constructor(options: EngineOptions) {
    this.#o = options;
    this.#reservations = new Reservations(options.fleet, options.capacity, () => this.#census());
    this.#docker = new Docker({ socketPath: options.socketPath, timeout: CALL_TIMEOUT_MS });
  }

  async ping(): Promise<void> {
    await this.#docker.ping();
  }

  /** The engine's id and the machine's name, once known. Hosts on one machine share its capacity. */
  get machine(): string | undefined {
    return this.#info?.machine;
  }

  /** The release of the engine, once known. */
  get version(): string | undefined {
    return this.#info?.version;
  }

  /** The CPUs of its machine, once known. */
  get cpus(): number | undefined {
    return this.#info?.cpus;
  }

  /** Returns the machine; asks the engine if it is not known yet. */
  async findMachine(): Promise<string> {
    return (await this.#ask()).machine;
  }

  /**
   * Creates an instance for a container, or for none, with its volume. First removes the instances of earlier
   * placements of the container on this host.
   * @param gpuIds the devices of its own, as many as `spec.gpus`
   * @returns the engine's id
   * @throws NoRoomError when the machine has no room; no part of the instance is left then
   */
  async create(instance: Instance, spec: ContainerSpec, gpuIds: string[] = []): Promise<string> {
    const { fleet, host, egressNetwork } = this.#o;
    const reserved = instance.containerId || instance.instanceId;
    const reservations = this.#reservations;
    const place = { fleet, host, ...instance };
    const reserving = reservations.reserve(reserved, spec.memoryMb, gpuIds);
    try {
      const [uid, { seccomp }, supervised] = await Promise.all([
        reserving,
        this.#ask(),
        this.isSupervised(spec.image),
        // Also before a first placement: Redis may have lost the record of an earlier one.
        this.#removeEarlier(instance),
      ]);
      const identity = { uid, gid: process.getgid?.() ?? 0, seccomp, supervised };
      const options = createOptions(spec, place, identity, { egressNetwork, gpuIds });
      const id = await this.#createFrom(options);
      await reservations.confirm(reserved).catch(async (error: unknown) => {
        await this.removeInstance(instance);
        throw error;
      });
      return id;
    } finally {
      await reserving.catch(() => undefined);
      reservations.settle(reserved);
    }
  }

  /**
   * Starts a created container.
   * @throws JobFailureError `gpu_unavailable` when it has GPUs and the engine fails
   */
  async start(id: string, gpuIds: string[] = []): Promise<void> {
    await this.#call('start', () => this.#docker.getContainer(id).start()).catch((error: unknown) => {
      // Without a driver for the devices, the engine answers 500.
      const failed = gpuIds.length > 0 && (statusOf(error) ?? 0) >= 500;
      throw failed ? new JobFailureError('gpu_unavailable', error) : error;
    });
  }

  /** Lists the references of the engine's images. */
  async images(): Promise<string[]> {
    const images = await this.#call('list images', () => this.#docker.listImages());
    const references = images.flatMap(({ RepoTags, RepoDigests }) => [
      ...(RepoTags ?? []),
      ...(RepoDigests ?? []),
    ]);
    return [...new Set(references)].filter((reference) => !reference.includes('<none>')).sort();
  }

  async hasImage(image: string): Promise<boolean> {
    return (await this.imageId(image)) !== undefined;
  }

  /** Returns the id of the image that a reference names now; `undefined` when it names none. */
  async imageId(image: string): Promise<string | undefined> {
    try {
      return (await this.#call('inspect image', () => this.#docker.getImage(image).inspect())).Id;
    } catch (error) {
      if (statusOf(error) === 404) return undefined;
      throw error;
    }
  }

  /**
   * Returns the path of a desktop's RFB socket on this host. The desktop controls its directory: see
   * `rfb.ts`.
   */
  socketPath(id: string): Promise<string> {
    return this.#socketPath(id, RFB_SOCKET);
  }

  /** Returns the path of its supervisor's socket on this host. It exists when the image has a supervisor. */
  supervisorPath(id: string): Promise<string> {
    return this.#socketPath(id, SUPERVISOR_SOCKET);
  }

  async #socketPath(id: string, socket: string): Promise<string> {
    const known = this.#directories.get(id);
    if (known !== undefined) return join(known, socket);
    const { Mounts } = await this.#call('inspect', () => this.#docker.getContainer(id).inspect());
    const source = socketsIn(Mounts);
    if (!source) throw new JobFailureError('engine_unavailable');
    if (this.#directories.size >= MAX_DIRECTORIES) this.#directories.clear();
    this.#directories.set(id, source);
    return join(source, socket);
  }

  /** Changes the memory and the CPUs of a running container. @throws when the engine or the kernel refuses */
  async update(id: string, { memoryMb, cpus }: Pick<ContainerSpec, 'memoryMb' | 'cpus'>): Promise<void> {
    const memory = memoryMb * MIB;
    const NanoCpus = Math.round(cpus * 1e9);
    const limits = { Memory: memory, MemorySwap: memory, NanoCpus };
    await this.#call('update', () => this.#docker.getContainer(id).update(limits));
    this.#memory.delete(id);
  }

  /** Lists the ids of the instances of this host that run and are not paused. */
  async runningInstances(): Promise<Set<string>> {
    const { fleet, host } = this.#o;
    const label = [`${LABELS.fleet}=${fleet}`, `${LABELS.host}=${host}`];
    const filters = { label, status: ['running'] };
    const running = await this.#call('list', () => this.#docker.listContainers({ filters }));
    return new Set(
      running.flatMap(({ Labels, State }) => (State === 'running' ? (Labels[LABELS.instance] ?? []) : [])),
    );
  }

  async isRunning(id: string): Promise<boolean> {
    return (await this.#state(id)).Running;
  }

  /** @param id of an engine container, or its name */
  async #state(id: string): Promise<{ Running: boolean; Paused: boolean; FinishedAt: string }> {
    try {
      return (await this.#call('inspect', () => this.#docker.getContainer(id).inspect())).State;
    } catch (error) {
      if (statusOf(error) === 404) return { Running: false, Paused: false, FinishedAt: '' };
      throw error;
    }
  }

  /**
   * Reads how the engine container of a record ended, or its output so far while it runs.
   * @returns `undefined` when there is none
   */
  async exitOf(instance: Instance): Promise<EngineExit | undefined> {
    const found = await this.find(instance);
    if (!found) return undefined;
    const container = this.#docker.getContainer(found.id);
    const { State } = await this.#call('inspect', () => container.inspect());
    const log = await this.#call('logs', () => container.logs(LAST_OUTPUT)).catch((error: unknown) => {
      // A container of an earlier release has no log, and one that never ran may have none.
      if ([404, 500, 501].includes(statusOf(error) ?? 0)) return Buffer.alloc(0);
      throw error;
    });
    const { Running: running, ExitCode: exitCode, OOMKilled: oomKilled, Error: error } = State;
    return { running, exitCode, oomKilled, error, log };
  }

  /**
   * Measures what a container uses, by the engine's own samples: it takes up to a second.
   * @throws when the container does not run
   */
  async usageOf(id: string): Promise<Usage> {
    const container = this.#docker.getContainer(id);
    const options = { stream: false, 'one-shot': true } as const;
    return usageFromStats(await this.#call('stats', () => container.stats(options)));
  }

  /** Finds the engine container of a record. One of an earlier release is found by the container's name. */
  async find(instance: Instance): Promise<Found | undefined> {
    const { containerId, instanceId } = instance;
    for (const id of instanceId ? [instanceId, containerId] : [containerId]) {
      const found = await this.#inspect(id);
      if (found && isInstance(found, instance)) return found;
    }
    return undefined;
  }

  /** Returns the same if it runs. */
  async findRunning(instance: Instance): Promise<Found | undefined> {
    const found = await this.find(instance);
    return found?.running ? found : undefined;
  }

  /** Freezes all processes of a desktop. One that does not run, or is frozen, is left as it is. */
  async pause(id: string): Promise<void> {
    await this.#setPaused(id, true);
  }

  /** Continues all processes of a desktop. One that does not run, or is not frozen, is left as it is. */
  async unpause(id: string): Promise<void> {
    await this.#setPaused(id, false);
  }

  async #setPaused(id: string, paused: boolean): Promise<void> {
    const container = this.#docker.getContainer(id);
    const set = () => (paused ? container.pause() : container.unpause());
    try {
      await this.#call(paused ? 'pause' : 'unpause', set);
    } catch (error) {
      // Engines answer 409 or 500 when there is nothing to do.
      const { Running, Paused } = await this.#state(id);
      if (Running && Paused !== paused) throw error;
    }
  }

  /**
   * Reads what the engine remembers of the engine container of a record: whether the engine was restarted
   * follows from that.
   */
  async remembers({ instanceId, containerId }: Instance): Promise<Remembered> {
    const { fleet, host } = this.#o;
    const names = [instanceId, containerId].filter(Boolean).map((id) => instanceName(fleet, host, id));
    const until = Math.ceil(Date.now() / 1000);
    const [events, info, { Running, FinishedAt }] = await Promise.all([
      this.#call('events', async () => readEvents(await this.#docker.getEvents({ since: 0, until }))),
      this.#call('info', () => this.#docker.info()),
      this.#state(names[0] ?? ''),
    ]);
    const endedAt = Running ? undefined : Date.parse(FinishedAt) || undefined;
    return { events, names, endedAt, isLiveRestored: info.LiveRestoreEnabled === true };
  }

  /** Whether the sockets of a container that runs are missing: an engine may have unmounted their volume. */
  async lacksSockets({ sockets }: Found): Promise<boolean> {
    if (sockets === undefined) return true;
    const paths = [RFB_SOCKET, SUPERVISOR_SOCKET].map((name) => join(sockets, name));
    const missing = await Promise.all(paths.map((path) => lstat(path).then(() => false, isMissing)));
    return missing.every(Boolean);
  }

  /** Stops a desktop: SIGTERM, then SIGKILL after the grace period. */
  async stop(id: string): Promise<void> {
    await this.#call('stop', () => this.#docker.getContainer(id).stop({ t: STOP_GRACE_S })).catch(
      unless(304, 404),
    );
  }

  /** Removes a container. Resolves when the engine no longer has it. */
  async removeContainer(id: string): Promise<void> {
    this.#directories.delete(id);
    this.#memory.delete(id);
    const container = this.#docker.getContainer(id);
    const deadline = Date.now() + REMOVAL_MS;
    for (;;) {
      try {
        return await this.#call('remove', () => container.remove({ force: true, v: true }));
      } catch (error) {
        if (statusOf(error) === 404) return;
        // 409: another removal is in progress.
        if (statusOf(error) !== 409 || Date.now() > deadline) throw error;
        await sleep(50);
      }
    }
  }

  /** Removes a volume by its name. A volume in use stays. */
  async removeVolume(name: string): Promise<void> {
    const volume = this.#docker.getVolume(name);
    await this.#call('remove volume', () => volume.remove()).catch(unless(404, 409));
  }

  /** Removes the engine container of one placement and its volumes. */
  async removeInstance(instance: Instance): Promise<void> {
    const { fleet, host } = this.#o;
    const found = await this.find(instance);
    if (found) await this.removeContainer(found.id);
    const named = found ? found.instanceId : instance.instanceId;
    const name = instanceName(fleet, host, named || instance.containerId);
    await Promise.all([name, terminalsName(name)].map((volume) => this.#removeOwn(volume)));
  }

  /** Removes a volume of an instance that has no container any more. */
  async #removeOwn(name: string): Promise<void> {
    await this.removeVolume(name).catch((error: unknown) => {
      // Before Docker 24 an engine counts mounts wrongly after a live-restore: the sweep removes it later.
      if (!/active mounts/.test(String(error))) throw error;
    });
  }

  /**
   * Lists all containers and volumes of this host on the engine.
   * @param of only those that were created for this container
   */
  async list(of?: string): Promise<{ containers: Found[]; volumes: FoundVolume[] }> {
    const { fleet, host } = this.#o;
    const label = [`${LABELS.fleet}=${fleet}`, `${LABELS.host}=${host}`];
    if (of !== undefined) label.push(`${LABELS.container}=${of}`);
    const filters = { label };
    const containers = await this.#call('list', () => this.#docker.listContainers({ all: true, filters }));
    return {
      containers: containers.map(({ Id, Labels, State }) => ({
        id: Id,
        ...readLabels(Labels),
        running: State === 'running' || State === 'paused',
        paused: State === 'paused',
        gpuIds: readGpuIds(Labels),
      })),
      volumes: await this.#volumes(filters, of === undefined),
    };
  }

  /** @param unlabelled with those that lost their labels */
  async #volumes(filters: { label: string[] }, unlabelled: boolean): Promise<FoundVolume[]> {
    const { fleet, host } = this.#o;
    const list = async (by: Record<string, string[]>) =>
      (await this.#call('list volumes', () => this.#docker.listVolumes({ filters: by }))).Volumes ?? [];
    const labelled = (await list(filters)).map(({ Name, Labels }) => ({ name: Name, ...readLabels(Labels) }));
    if (!unlabelled) return labelled;
    const byName = await list({ name: [instanceName(fleet, host, '')] });
    // An engine that is killed while it creates a volume loses the labels, but not the name.
    const lost = byName.flatMap((volume) => {
      const { Name, Labels, CreatedAt } = volume as typeof volume & { CreatedAt?: string };
      const instanceId = Labels ? undefined : instanceOfVolume(fleet, host, Name);
      const isOld = Date.parse(CreatedAt ?? '') < Date.now() - LABELLED_WITHIN_MS;
      return instanceId && isOld
        ? [{ name: Name, instanceId, containerId: undefined, fence: Number.NaN }]
        : [];
    });
    return [...labelled, ...lost];
  }

  /** Finds the engine container with the name of an instance, if this host owns it. */
  async #inspect(instanceId: string): Promise<Found | undefined> {
    const { fleet, host } = this.#o;
    const container = this.#docker.getContainer(instanceName(fleet, host, instanceId));
    try {
      const { Id, Config, State, Mounts } = await this.#call('inspect', () => container.inspect());
      const labels = Config.Labels ?? {};
      if (labels[LABELS.fleet] !== fleet || labels[LABELS.host] !== host) return undefined;
      const { Running: running, Paused: paused } = State;
      const gpuIds = readGpuIds(labels);
      return { id: Id, ...readLabels(labels), running, paused, gpuIds, sockets: socketsIn(Mounts) };
    } catch (error) {
      if (statusOf(error) === 404) return undefined;
      throw error;
    }
  }

  /** Returns whether an image starts with the supervisor. A creation from an image that is missing fails later. */
  async isSupervised(image: string): Promise<boolean> {
    try {
      const { Config } = await this.#call('inspect image', () => this.#docker.getImage(image).inspect());
      return [Config.Entrypoint].flat()[0] === SUPERVISOR_PATH;
    } catch (error) {
      if (statusOf(error) === 404) return false;
      throw error;
    }
  }

  async #createFrom(options: Docker.ContainerCreateOptions): Promise<string> {
    try {
      return (await this.#call('create', () => this.#docker.createContainer(options))).id;
    } catch (error) {
      // The engine answers a creation with 404 only for a missing image.
      if (statusOf(error) === 404) throw new JobFailureError('image_missing', error);
      throw statusOf(error) === 409 ? new JobFailureError('name_taken', error) : error;
    }
  }

  /** Removes the instances and volumes of earlier placements of a container on this host. */
  async #removeEarlier({ containerId, instanceId }: Instance): Promise<void> {
    if (!containerId) return;
    const { containers, volumes } = await this.list(containerId);
    for (const { id, instanceId: other } of containers) {
      if (other !== instanceId) await this.removeContainer(id);
    }
    for (const { name, instanceId: other } of volumes)
      if (other !== instanceId) await this.removeVolume(name);
  }

  /** Lists the reservations of all instances on this engine, of any fleet and host. */
  async #census(): Promise<Reserved[]> {
    const filters = { label: [LABELS.fleet] };
    const all = await this.#call('census', () => this.#docker.listContainers({ all: true, filters }));
    const live = all.filter(({ State }) => State !== 'exited' && State !== 'dead');
    return Promise.all(
      live.map(async ({ Id, Labels }) => ({
        containerId: Labels[LABELS.container] || Labels[LABELS.instance] || '',
        fleet: Labels[LABELS.fleet] ?? '',
        memoryMb: await this.#memoryMb(Id, Labels),
        uid: Labels[LABELS.uid] === undefined ? undefined : Number(Labels[LABELS.uid]),
        gpuIds: readGpuIds(Labels),
      })),
    );
  }

  /**
   * The memory limit of a desktop, MB. It is read where labels lack it, and where an instance was created for no
   * container, as a start changes it.
   */
  async #memoryMb(id: string, labels: Record<string, string>): Promise<number> {
    const label = labels[LABELS.memoryMb];
    if (label !== undefined && labels[LABELS.container]) return Number(label);
    const known = this.#memory.get(id);
    if (known && known.at > Date.now() - MEMORY_KNOWN_MS) return known.memoryMb;
    try {
      const { HostConfig } = await this.#call('inspect', () => this.#docker.getContainer(id).inspect());
      const memoryMb = (HostConfig.Memory ?? 0) / MIB;
      for (const [other, { at }] of this.#memory)
        if (at < Date.now() - MEMORY_KNOWN_MS) this.#memory.delete(other);
      this.#memory.set(id, { memoryMb, at: Date.now() });
      return memoryMb;
    } catch (error) {
      if (statusOf(error) === 404) return 0;
      throw error;
    }
  }

  /**
   * Asks the engine once for its machine and for seccomp. Desktops also run on a kernel without it,
   * unfiltered.
   */
  #ask(): Promise<EngineInfo> {
    this.#asking ??= this.#call('info', () => this.#docker.info()).then(
      ({ ID, Name, NCPU, SecurityOptions = [], ServerVersion = 'unknown' }: DockerInfo) => {
        const seccomp = SecurityOptions.some((option) => option.startsWith('name=seccomp'));
        if (!seccomp)
          this.#o.log.warn(
            'the kernel has no seccomp: desktops may use every system call. Enable CONFIG_SECCOMP_FILTER',
          );
        // Machines cloned from one image may share the engine's id.
        this.#info = { machine: `${ID}@${Name}`, seccomp, version: ServerVersion, cpus: NCPU };
        return this.#info;
      },
      (error: unknown) => {
        this.#asking = undefined;
        throw error;
      },
    );
    return this.#asking;
  }

  async #call<T>(name: string, call: () => Promise<T>): Promise<T> {
    try {
      return await call();
    } catch (error) {
      const status = statusOf(error);
      if (status === undefined || status >= 500) this.#o.metrics.engineErrors.inc({ call: name });
      throw error;
    }
  }
}

const readLabels = (labels: Record<string, string> | null): Labelled => ({
  instanceId: labels?.[LABELS.instance],
  containerId: labels?.[LABELS.container],
  fence: Number(labels?.[LABELS.fence]),
});

/** Whether an instance was created without a container, for the warm pool. Labels never change. */
export const isWarm = ({ containerId }: Labelled): boolean => !containerId;

const readGpuIds = (labels: Record<string, string> | null): string[] =>
  labels?.[LABELS.gpuIds]?.split(',').filter(Boolean) ?? [];

/** Whether an engine object belongs to the instance of a record. */
export const isInstance = (found: Labelled, { containerId, instanceId, fence }: Instance): boolean =>
  found.instanceId === undefined
    ? found.containerId === containerId && found.fence === fence
    : found.instanceId === instanceId;

/** The directory of a container's sockets on this host. */
const socketsIn = (mounts: { Destination: string; Source: string }[]): string | undefined =>
  mounts.find(({ Destination }) => Destination === RFB_DIRECTORY)?.Source;

const isMissing = (error: NodeJS.ErrnoException): boolean => error.code === 'ENOENT';

const statusOf = (error: unknown): number | undefined =>
  (error as { statusCode?: number } | null)?.statusCode;

/** Swallows engine errors of these statuses: the requested state already holds. */
const unless =
  (...statuses: number[]) =>
  (error: unknown): void => {
    if (!statuses.includes(statusOf(error) ?? 0)) throw error;
  };
