import type { ContainerSpec } from '@warmwind/shared/contract/containers';
import { newId } from '@warmwind/shared/contract/ids';
import type { Engine } from '../containers/engine.ts';
import { waitForGreeting } from '../containers/rfb.ts';
import type { Instance } from '../containers/spec.ts';
import { Supervisor } from '../supervisor/client.ts';

/** The time-out from the start of an instance to its first RFB byte, ms. */
const GREETING_WITHIN_MS = 15_000;

/**
 * An instance without a container, and its spec. `id` is the engine's; empty until it was created. `imageId` is
 * that of the image that its reference named before.
 */
export type PooledInstance = {
  instance: Instance;
  spec: ContainerSpec;
  id: string;
  imageId?: string | undefined;
};

/** A new instance of this spec, which does not exist yet. */
export const newPooledInstance = (spec: ContainerSpec): PooledInstance => ({
  instance: { containerId: '', instanceId: newId(), fence: 0 },
  spec,
  id: '',
});

/**
 * Creates and starts an instance, and waits until its screen and its supervisor answer.
 * @throws any error when it does not come up: remove it
 */
export async function bringUp(engine: Engine, pooled: PooledInstance, signal: AbortSignal): Promise<void> {
  const { instance, spec } = pooled;
  pooled.imageId = await engine.images.idOf(spec.image);
  const id = await engine.create(instance, spec);
  pooled.id = id;
  signal.throwIfAborted();
  await engine.start(id);
  await waitForGreeting(await engine.socketPath(id), {
    withinMs: GREETING_WITHIN_MS,
    signal,
    alive: () => engine.isRunning(id),
  });
  if (!(await engine.images.isSupervised(spec.image))) return;
  await new Supervisor(() => engine.supervisorPath(id)).health({ signal });
}
