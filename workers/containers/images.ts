import type { ImageInspectInfo } from 'dockerode';
import { type EngineCalls, statusOf } from './engine-calls.ts';
import { SUPERVISOR_PATH } from './spec.ts';

/** The images of the engine. */
export class EngineImages {
  readonly #calls: EngineCalls;

  constructor(calls: EngineCalls) {
    this.#calls = calls;
  }

  /** Lists the references of the engine's images. */
  async list(): Promise<string[]> {
    const images = await this.#calls.run('list images', (docker) => docker.listImages());
    const references = images.flatMap(({ RepoTags, RepoDigests }) => [
      ...(RepoTags ?? []),
      ...(RepoDigests ?? []),
    ]);
    return [...new Set(references)].filter((reference) => !reference.includes('<none>')).sort();
  }

  async has(image: string): Promise<boolean> {
    return (await this.idOf(image)) !== undefined;
  }

  /** Returns the id of the image that a reference names now; `undefined` when it names none. */
  async idOf(image: string): Promise<string | undefined> {
    return (await this.#inspect(image))?.Id;
  }

  /** Returns whether an image starts with the supervisor. A creation from an image that is missing fails later. */
  async isSupervised(image: string): Promise<boolean> {
    return [(await this.#inspect(image))?.Config.Entrypoint].flat()[0] === SUPERVISOR_PATH;
  }

  async #inspect(image: string): Promise<ImageInspectInfo | undefined> {
    try {
      return await this.#calls.run('inspect image', (docker) => docker.getImage(image).inspect());
    } catch (error) {
      if (statusOf(error) === 404) return undefined;
      throw error;
    }
  }
}
