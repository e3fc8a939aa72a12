import { type EngineCalls, unless } from './engine-calls.ts';
import { type FoundVolume, readLabels } from './found.ts';
import { instanceName, instanceOfVolume } from './spec.ts';

/** A volume without labels that is older than this, ms, has lost them. */
const LABELLED_WITHIN_MS = 10_000;

/** The volumes of one host of one fleet on the engine. */
export class EngineVolumes {
  readonly #calls: EngineCalls;
  readonly #owner: { fleet: string; host: string };

  constructor(calls: EngineCalls, owner: { fleet: string; host: string }) {
    this.#calls = calls;
    this.#owner = owner;
  }

  /**
   * Lists volumes.
   * @param unlabelled with those that lost their labels
   */
  async list(filters: { label: string[] }, unlabelled: boolean): Promise<FoundVolume[]> {
    const { fleet, host } = this.#owner;
    const list = async (by: Record<string, string[]>) =>
      (await this.#calls.run('list volumes', (docker) => docker.listVolumes({ filters: by }))).Volumes ?? [];
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

  /** Removes a volume by its name. A volume in use stays. */
  async remove(name: string): Promise<void> {
    await this.#calls
      .run('remove volume', (docker) => docker.getVolume(name).remove())
      .catch(unless(404, 409));
  }

  /** Removes a volume of an instance by its name; one that the engine takes for mounted stays. */
  async removeOwn(name: string): Promise<void> {
    await this.remove(name).catch((error: unknown) => {
      // Before Docker 24 an engine counts mounts wrongly after a live-restore: the sweep removes it later.
      if (!/active mounts/.test(String(error))) throw error;
    });
  }
}
