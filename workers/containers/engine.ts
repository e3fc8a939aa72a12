import { lstat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ContainerSpec } from '@warmwind/shared/contract/containers';
import type { Logger } from '@warmwind/shared/runtime/node/log';
import type Docker from 'dockerode';
import type { Metrics } from '../metrics.ts';
import { JobFailureError } from '../runtime/failures.ts';
import type { Usage } from '../supervisor/process.ts';
import { usageFromStats } from '../usage/stats.ts';
import { Census } from './census.ts';
import { EngineCalls, statusOf, unless } from './engine-calls.ts';
import { type Remembered, readEvents } from './engine-restart.ts';
import { EngineVolumes } from './engine-volumes.ts';
import {
  type EngineExit,
  type Found,
  type FoundVolume,
  isInstance,
  readGpuIds,
  readLabels,
  socketsIn,
} from './found.ts';
import { EngineImages } from './images.ts';
import { type Capacity, Reservations } from './reservations.ts';
import {
  createOptions,
  type Instance,
  instanceName,
  LABELS,
  RFB_SOCKET,
  SUPERVISOR_SOCKET,
  terminalsName,
} from './spec.ts';

/** The time-out of the removal of a container, ms. */
const REMOVAL_MS = 10_000;
/** The time between SIGTERM and SIGKILL of a desktop, s. */
const STOP_GRACE_S = 2;
/** Their number bounds the answer of an engine that bounds its logs differently. */
const LAST_OUTPUT = { follow: false, stdout: true, stderr: true, tail: 4000 } as const;
const MIB = 2 ** 20;
/** Most directories of sockets that are remembered. */
const MAX_DIRECTORIES = 10_000;

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
  readonly #calls: EngineCalls;
  readonly #census: Census;
  readonly #o: EngineOptions;
  /** Its images. */
  readonly images: EngineImages;
  /** Its volumes. */
  readonly volumes: EngineVolumes;
  readonly #reservations: Reservations;
  #info: EngineInfo | undefined;
  #asking: Promise<EngineInfo> | undefined;
  /** The directories of sockets on this host by the engine's id of the container. They never change. */
  readonly #directories = new Map<string, string>();

  constructor(options: EngineOptions) {
    this.#o = options;
    this.#calls = new EngineCalls(options.socketPath, options.metrics);
    this.images = new EngineImages(this.#calls);
    this.volumes = new EngineVolumes(this.#calls, options);
    this.#census = new Census(this.#calls);
    this.#reservations = new Reservations(options.fleet, options.capacity, () => this.#census.list());
  }

  async ping(): Promise<void> {
    await this.#calls.docker.ping();
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
        this.images.isSupervised(spec.image),
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
    await this.#calls
      .run('start', () => this.#calls.docker.getContainer(id).start())
      .catch((error: unknown) => {
        // Without a driver for the devices, the engine answers 500.
        const failed = gpuIds.length > 0 && (statusOf(error) ?? 0) >= 500;
        throw failed ? new JobFailureError('gpu_unavailable', error) : error;
      });
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
    const { Mounts } = await this.#calls.run('inspect', () => this.#calls.docker.getContainer(id).inspect());
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
    await this.#calls.run('update', () => this.#calls.docker.getContainer(id).update(limits));
    this.#census.changed(id);
  }

  /** Lists the ids of the instances of this host that run and are not paused. */
  async runningInstances(): Promise<Set<string>> {
    const { fleet, host } = this.#o;
    const label = [`${LABELS.fleet}=${fleet}`, `${LABELS.host}=${host}`];
    const filters = { label, status: ['running'] };
    const running = await this.#calls.run('list', () => this.#calls.docker.listContainers({ filters }));
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
      return (await this.#calls.run('inspect', () => this.#calls.docker.getContainer(id).inspect())).State;
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
    const container = this.#calls.docker.getContainer(found.id);
    const { State } = await this.#calls.run('inspect', () => container.inspect());
    const log = await this.#calls
      .run('logs', () => container.logs(LAST_OUTPUT))
      .catch((error: unknown) => {
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
    const container = this.#calls.docker.getContainer(id);
    const options = { stream: false, 'one-shot': true } as const;
    return usageFromStats(await this.#calls.run('stats', () => container.stats(options)));
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
    const container = this.#calls.docker.getContainer(id);
    const set = () => (paused ? container.pause() : container.unpause());
    try {
      await this.#calls.run(paused ? 'pause' : 'unpause', set);
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
      this.#calls.run('events', async () =>
        readEvents(await this.#calls.docker.getEvents({ since: 0, until })),
      ),
      this.#calls.run('info', () => this.#calls.docker.info()),
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
    await this.#calls
      .run('stop', () => this.#calls.docker.getContainer(id).stop({ t: STOP_GRACE_S }))
      .catch(unless(304, 404));
  }

  /** Removes a container. Resolves when the engine no longer has it. */
  async removeContainer(id: string): Promise<void> {
    this.#directories.delete(id);
    this.#census.changed(id);
    const container = this.#calls.docker.getContainer(id);
    const deadline = Date.now() + REMOVAL_MS;
    for (;;) {
      try {
        return await this.#calls.run('remove', () => container.remove({ force: true, v: true }));
      } catch (error) {
        if (statusOf(error) === 404) return;
        // 409: another removal is in progress.
        if (statusOf(error) !== 409 || Date.now() > deadline) throw error;
        await sleep(50);
      }
    }
  }

  /** Removes the engine container of one placement and its volumes. */
  async removeInstance(instance: Instance): Promise<void> {
    const { fleet, host } = this.#o;
    const found = await this.find(instance);
    if (found) await this.removeContainer(found.id);
    const named = found ? found.instanceId : instance.instanceId;
    const name = instanceName(fleet, host, named || instance.containerId);
    await Promise.all([name, terminalsName(name)].map((volume) => this.volumes.removeOwn(volume)));
  }

  /** Removes a volume of an instance that has no container any more. */
  /**
   * Lists all containers and volumes of this host on the engine.
   * @param of only those that were created for this container
   */
  async list(of?: string): Promise<{ containers: Found[]; volumes: FoundVolume[] }> {
    const { fleet, host } = this.#o;
    const label = [`${LABELS.fleet}=${fleet}`, `${LABELS.host}=${host}`];
    if (of !== undefined) label.push(`${LABELS.container}=${of}`);
    const filters = { label };
    const containers = await this.#calls.run('list', () =>
      this.#calls.docker.listContainers({ all: true, filters }),
    );
    return {
      containers: containers.map(({ Id, Labels, State }) => ({
        id: Id,
        ...readLabels(Labels),
        running: State === 'running' || State === 'paused',
        paused: State === 'paused',
        gpuIds: readGpuIds(Labels),
      })),
      volumes: await this.volumes.list(filters, of === undefined),
    };
  }

  /** Finds the engine container with the name of an instance, if this host owns it. */
  async #inspect(instanceId: string): Promise<Found | undefined> {
    const { fleet, host } = this.#o;
    const container = this.#calls.docker.getContainer(instanceName(fleet, host, instanceId));
    try {
      const { Id, Config, State, Mounts } = await this.#calls.run('inspect', () => container.inspect());
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

  async #createFrom(options: Docker.ContainerCreateOptions): Promise<string> {
    try {
      return (await this.#calls.run('create', () => this.#calls.docker.createContainer(options))).id;
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
      if (other !== instanceId) await this.volumes.remove(name);
  }

  /**
   * Asks the engine once for its machine and for seccomp. Desktops also run on a kernel without it,
   * unfiltered.
   */
  #ask(): Promise<EngineInfo> {
    this.#asking ??= this.#calls
      .run('info', () => this.#calls.docker.info())
      .then(
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
}

const isMissing = (error: NodeJS.ErrnoException): boolean => error.code === 'ENOENT';
