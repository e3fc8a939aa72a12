import type { ContainerSpec } from '@warmwind/shared/contract/containers';
import type { Engine } from '../containers/engine.ts';
import { readGreeting } from '../containers/rfb.ts';
import { Supervisor } from '../supervisor/client.ts';
import { resizeScreen } from './resize.ts';

const MIB = 2 ** 20;

/** The share of a smaller memory that an instance may use already, so that its programs are not ended. */
const MAX_USED = 0.75;

/** Thrown when an instance of the pool can't be given what a start asks for. */
class MisfitError extends Error {
  override name = 'MisfitError';
}

/**
 * Gives a running instance of the pool the size, the memory and the CPUs of a start. A second call with the
 * same spec changes nothing.
 * @param id the engine's id of the instance
 * @param pooled the spec of the instances of its image
 * @throws MisfitError when it uses too much memory already; any error when it does not answer or the engine
 * refuses: it must not be used then
 */
export async function tailor(
  engine: Engine,
  { id, spec, pooled }: { id: string; spec: ContainerSpec; pooled: ContainerSpec },
  signal: AbortSignal,
): Promise<void> {
  const socketPath = await engine.socketPath(id);
  if (spec.width === pooled.width && spec.height === pooled.height) await readGreeting(socketPath);
  else await resizeScreen(socketPath, spec, signal);
  signal.throwIfAborted();
  if (spec.memoryMb === pooled.memoryMb && spec.cpus === pooled.cpus) return;
  if (spec.memoryMb < pooled.memoryMb && (await usedMb(engine, id, signal)) > spec.memoryMb * MAX_USED) {
    throw new MisfitError(`the instance uses more than ${MAX_USED * spec.memoryMb} MB already`);
  }
  await engine.update(id, spec);
}

/** Reads the memory that an instance uses now, MB: from its supervisor, as the engine takes a second. */
async function usedMb(engine: Engine, id: string, signal: AbortSignal): Promise<number> {
  const supervisor = new Supervisor(() => engine.supervisorPath(id));
  const { memoryUsed } = await supervisor.usage({ signal }).catch(() => ({ memoryUsed: undefined }));
  return (memoryUsed ?? (await engine.usageOf(id)).memoryUsed ?? 0) / MIB;
}
