import { isDeepStrictEqual } from 'node:util';
import type { ContainerSpec } from '@warmwind/shared/contract/containers';
import { parseSpec } from '../containers/spec.ts';

/** The fields that an instance of the pool can still be given, or that concern its record alone. */
const APPLIED: ReadonlySet<string> = new Set([
  'width',
  'height',
  'memoryMb',
  'cpus',
  'ttlSeconds',
  'idleSeconds',
  'onIdle',
]);

/** The spec of the instances of an image: every field has its default. */
export const pooledSpec = (image: string): ContainerSpec => parseSpec(JSON.stringify({ image }));

/**
 * Finds what an instance of the pool can't be given.
 * @param pooled the spec of the instance
 * @returns the name of the first such field; `undefined` when the instance fits
 */
export function misfit(spec: ContainerSpec, pooled: ContainerSpec): string | undefined {
  const wanted = new Map<string, unknown>(Object.entries(spec));
  const given = new Map<string, unknown>(Object.entries(pooled));
  const names = [...new Set([...given.keys(), ...wanted.keys()])];
  return names.find((name) => !APPLIED.has(name) && !isDeepStrictEqual(wanted.get(name), given.get(name)));
}
