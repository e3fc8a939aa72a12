import type { ContainerExit } from '@warmwind/shared/contract/containers';
import { endOfText } from '@warmwind/shared/runtime/end-of-text';
import type { Logger } from '@warmwind/shared/runtime/node/log';
import { JobFailureError } from '../runtime/failures.ts';
import type { Engine } from './engine.ts';
import type { EngineExit } from './found.ts';
import { clean, lastOutput } from './last-output.ts';
import { type Instance, parseSpec } from './spec.ts';

/** The exit codes of a container whose entry point can't be executed, or does not exist. */
const NOT_EXECUTED = [126, 127];
const ENGINE_ERROR_BYTES = 300;

/** A failed desktop: how its programs ended, and the failure that this shows. */
export type Diagnosis = { exit?: ContainerExit | undefined; error: unknown };

type Diagnosed = { engine: Pick<Engine, 'exitOf'>; log: Logger };

/**
 * Reads how the programs of a failed desktop ended, before its engine container is removed.
 *
 * @param error the failure as it was noticed
 * @returns the failure as the exit shows it, and no exit when the engine has none or does not answer
 */
export async function diagnose(
  { engine, log }: Diagnosed,
  record: Instance & { spec: string },
  error: unknown,
): Promise<Diagnosis> {
  if (!mayBeExplained(error)) return { error };
  try {
    const found = await engine.exitOf(record);
    if (!found) return { error };
    const exit = exitFrom(found, parseSpec(record.spec).env);
    return { exit, error: explain(found, error) };
  } catch (err) {
    log.warn({ err, containerId: record.containerId }, 'the output of a failed desktop could not be read');
    return { error };
  }
}

/** Whether the desktop had a part in the failure: it ended or was silent, or the engine refused to start it. */
function mayBeExplained(error: unknown): boolean {
  if (error instanceof JobFailureError) return ['desktop_exited', 'desktop_silent'].includes(error.code);
  return typeof (error as { statusCode?: unknown } | null)?.statusCode === 'number';
}

function exitFrom(found: EngineExit, env: Record<string, string>): ContainerExit {
  const output = lastOutput(found.log, env) || engineReason(found);
  return { ...(found.running ? {} : { exitCode: found.exitCode }), oomKilled: found.oomKilled, output };
}

/** Only the part of the engine's error about the entry point: the rest is of its host. */
function engineReason({ error }: EngineExit): string {
  const reason = /exec: "(.*)/s.exec(error)?.[0] ?? '';
  return endOfText(clean(reason), ENGINE_ERROR_BYTES);
}

function explain({ running, exitCode, oomKilled, error: reason }: EngineExit, error: unknown): unknown {
  if (running) return error;
  if (oomKilled && exitCode !== 0) return new JobFailureError('desktop_out_of_memory', error);
  if (reason !== '' && NOT_EXECUTED.includes(exitCode)) return new JobFailureError('image_invalid', error);
  return error;
}
