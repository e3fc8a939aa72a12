import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ContainerSpec } from '@warmwind/shared/containers';
import type { Logger } from '@warmwind/shared/node/log';
import Docker from 'dockerode';
import type { Metrics } from '../metrics.ts';
import { JobFailure } from '../runtime/failures.ts';
import { type Capacity, Reservations, type Reserved } from './reservations.ts';
import { createOptions, desktopName, LABELS, RFB_DIRECTORY, RFB_SOCKET } from './spec.ts';

/** A call to the engine that stays silent for this long has failed, ms. */
const CALL_TIMEOUT_MS = 20_000;
/** How long the engine may take to forget a container that it is removing, ms. */
const REMOVAL_MS = 10_000;
/** What a desktop gets between SIGTERM and SIGKILL, s. */
const STOP_GRACE_S = 2;

/** A container of this fleet and host as the engine knows it. `id` is the engine's. */
export type Found = { id: string; containerId: string; fence: number; running: boolean };
/** A volume of this fleet and host. */
export type FoundVolume = { name: string; containerId: string };

export type EngineOptions = {
  socketPath: string;
  fleet: string;
  host: string;
  egressNetwork: string | undefined;
  capacity: Capacity;
  metrics: Metrics;
  log: Logger;
};

/** The Docker Engine as one host of one fleet sees it: nothing without their labels is ever touched. */
export class Engine {
  readonly #docker: Docker;
  readonly #o: EngineOptions;
  readonly #reservations: Reservations;
  #seccomp: Promise<boolean> | undefined;

  constructor(options: EngineOptions) {
    this.#o = options;
    this.#reservations = new Reservations(options.fleet, options.capacity, () => this.#census());
    this.#docker = new Docker({ socketPath: options.socketPath, timeout: CALL_TIMEOUT_MS });
  }

  async ping(): Promise<void> {
    await this.#docker.ping();
  }

  /** @returns whether this machine has room for a desktop now, and if it ever could. */
  room(
    containerId: string,
    { memoryMb }: Pick<ContainerSpec, 'memoryMb'>,
  ): Promise<'now' | 'later' | 'never'> {
    return this.#reservations.room(containerId, memoryMb);
  }

  /**
   * Creates a desktop and its volume under its one name. What stands there already is replaced when it is this host's,
   * else the start fails.
   * @returns the engine's id
   * @throws NoRoomError when the machine has no room for it; nothing is left of it then
   */
  async create(containerId: string, fence: number, spec: ContainerSpec): Promise<string> {
    const { fleet, host, egressNetwork } = this.#o;
    const reservations = this.#reservations;
    const place = { fleet, host, containerId, fence };
    const uid = await reservations.reserve(containerId, spec.memoryMb);
    try {
      const identity = { uid, gid: process.getgid?.() ?? 0, seccomp: await this.#hasSeccomp() };
      const options = createOptions(spec, place, identity, egressNetwork);
      // A volume that an earlier placement left behind belongs to another uid.
      if (fence > 1) await this.#clear(containerId);
      const id = await this.#createFrom(containerId, options);
      await reservations.confirm(containerId).catch(async (error: unknown) => {
        await this.removePlacement(containerId, fence);
        throw error;
      });
      return id;
    } finally {
      reservations.settle(containerId);
    }
  }

  async start(id: string): Promise<void> {
    await this.#call('start', () => this.#docker.getContainer(id).start());
  }

  /** The path of a desktop's RFB socket on this host. It lies in a directory that the desktop controls: see `rfb.ts`. */
  async socketPath(id: string): Promise<string> {
    const { Mounts } = await this.#call('inspect', () => this.#docker.getContainer(id).inspect());
    const source = Mounts.find(({ Destination }) => Destination === RFB_DIRECTORY)?.Source;
    if (!source) throw new JobFailure('engine_unavailable');
    return join(source, RFB_SOCKET);
  }

  async isRunning(id: string): Promise<boolean> {
    try {
      const { State } = await this.#call('inspect', () => this.#docker.getContainer(id).inspect());
      return State.Running;
    } catch (error) {
      if (statusOf(error) === 404) return false;
      throw error;
    }
  }

  /** What stands under a desktop's name; `foreign` when it is not this host's. */
  async find(containerId: string): Promise<Found | 'foreign' | undefined> {
    const { fleet, host } = this.#o;
    try {
      const { Id, Config, State } = await this.#call('inspect', () =>
        this.#docker.getContainer(desktopName(fleet, host, containerId)).inspect(),
      );
      const labels = Config.Labels ?? {};
      if (labels[LABELS.fleet] !== fleet || labels[LABELS.host] !== host) return 'foreign';
      return { id: Id, containerId, fence: Number(labels[LABELS.fence]), running: State.Running };
    } catch (error) {
      if (statusOf(error) === 404) return undefined;
      throw error;
    }
  }

  /** The container of exactly this placement, if it runs. */
  async findRunning(containerId: string, fence: number): Promise<Found | undefined> {
    const found = await this.find(containerId);
    return found && found !== 'foreign' && found.running && found.fence === fence ? found : undefined;
  }

  /** Asks a desktop to end, then makes it. */
  async stop(id: string): Promise<void> {
    await this.#call('stop', () => this.#docker.getContainer(id).stop({ t: STOP_GRACE_S })).catch(
      unless(304, 404),
    );
  }

  /** Resolves when the engine does not know the container any more. */
  async removeContainer(id: string): Promise<void> {
    const container = this.#docker.getContainer(id);
    const deadline = Date.now() + REMOVAL_MS;
    for (;;) {
      try {
        return await this.#call('remove', () => container.remove({ force: true, v: true }));
      } catch (error) {
        if (statusOf(error) === 404) return;
        // 409: somebody else's removal is under way.
        if (statusOf(error) !== 409 || Date.now() > deadline) throw error;
        await sleep(50);
      }
    }
  }

  /** Removes a desktop's volume; one that is in use stays. */
  async removeVolume(containerId: string): Promise<void> {
    const { fleet, host } = this.#o;
    const volume = this.#docker.getVolume(desktopName(fleet, host, containerId));
    await this.#call('remove volume', () => volume.remove()).catch(unless(404, 409));
  }

  /** Removes what one placement of a desktop created, and nothing that another placement did. */
  async removePlacement(containerId: string, fence: number): Promise<void> {
    const found = await this.find(containerId);
    if (found === 'foreign' || (found && found.fence > fence)) return;
    if (found) await this.removeContainer(found.id);
    await this.removeVolume(containerId);
  }

  async list(): Promise<{ containers: Found[]; volumes: FoundVolume[] }> {
    const { fleet, host } = this.#o;
    const filters = { label: [`${LABELS.fleet}=${fleet}`, `${LABELS.host}=${host}`] };
    const containers = await this.#call('list', () => this.#docker.listContainers({ all: true, filters }));
    const volumes = await this.#call('list volumes', () => this.#docker.listVolumes({ filters }));
    return {
      containers: containers.map(({ Id, Labels, State }) => ({
        id: Id,
        containerId: Labels[LABELS.container] ?? '',
        fence: Number(Labels[LABELS.fence]),
        running: State === 'running' || State === 'paused',
      })),
      volumes: (volumes.Volumes ?? []).map(({ Name, Labels }) => ({
        name: Name,
        containerId: Labels?.[LABELS.container] ?? '',
      })),
    };
  }

  async #createFrom(containerId: string, options: Docker.ContainerCreateOptions): Promise<string> {
    const create = () =>
      this.#call('create', () => this.#docker.createContainer(options)).catch((error: unknown) => {
        // Of a container's creation the engine answers so only for its image.
        throw statusOf(error) === 404 ? new JobFailure('image_missing', error) : error;
      });
    try {
      return (await create()).id;
    } catch (error) {
      if (statusOf(error) !== 409) throw error;
    }
    await this.#clear(containerId);
    return (await create()).id;
  }

  /** Removes whatever stands under a desktop's name. */
  async #clear(containerId: string): Promise<void> {
    const stale = await this.find(containerId);
    if (stale === 'foreign') throw new JobFailure('name_taken');
    if (stale) await this.removeContainer(stale.id);
    await this.removeVolume(containerId);
  }

  /** What all desktops of this engine reserve, whichever fleet and host they are of. */
  async #census(): Promise<Reserved[]> {
    const filters = { label: [LABELS.container] };
    const all = await this.#call('census', () => this.#docker.listContainers({ all: true, filters }));
    const live = all.filter(({ State }) => State !== 'exited' && State !== 'dead');
    return Promise.all(
      live.map(async ({ Id, Labels }) => ({
        containerId: Labels[LABELS.container] ?? '',
        fleet: Labels[LABELS.fleet] ?? '',
        memoryMb: Number(Labels[LABELS.memoryMb] ?? (await this.#memoryMb(Id))),
        uid: Labels[LABELS.uid] === undefined ? undefined : Number(Labels[LABELS.uid]),
      })),
    );
  }

  /** The memory limit of a desktop whose labels do not name it. */
  async #memoryMb(id: string): Promise<number> {
    try {
      const { HostConfig } = await this.#call('inspect', () => this.#docker.getContainer(id).inspect());
      return (HostConfig.Memory ?? 0) / 2 ** 20;
    } catch (error) {
      if (statusOf(error) === 404) return 0;
      throw error;
    }
  }

  /** A kernel without seccomp can't filter system calls: desktops run there all the same. */
  #hasSeccomp(): Promise<boolean> {
    this.#seccomp ??= this.#call('info', () => this.#docker.info()).then(
      ({ SecurityOptions = [] }: { SecurityOptions?: string[] }) => {
        const has = SecurityOptions.some((option) => option.startsWith('name=seccomp'));
        if (!has) this.#o.log.warn('the kernel has no seccomp: desktops may use every system call');
        return has;
      },
      (error: unknown) => {
        this.#seccomp = undefined;
        throw error;
      },
    );
    return this.#seccomp;
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

const statusOf = (error: unknown): number | undefined =>
  (error as { statusCode?: number } | null)?.statusCode;

/** Swallows these answers of the engine: what was asked for is so already. */
const unless =
  (...statuses: number[]) =>
  (error: unknown): void => {
    if (!statuses.includes(statusOf(error) ?? 0)) throw error;
  };
