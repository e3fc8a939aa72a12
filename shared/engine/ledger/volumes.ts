import { and, eq, inArray, isNull } from 'drizzle-orm';
import { SCREEN_VOLUME_BYTES } from '../../contract/resources.ts';
import type { Db } from './db.ts';
import type { ContainerRow } from './rows.ts';
import { volumes } from './schema.ts';

export type VolumeRow = typeof volumes.$inferSelect;

/** Records the volume that a placement is about to make. */
export async function recordVolume(db: Db, placed: ContainerRow, at: Date): Promise<void> {
  const { instanceId: id, id: containerId, userId, host } = placed;
  if (id === '') return;
  const made = { kind: 'screen' as const, state: 'present' as const, sizeBytes: SCREEN_VOLUME_BYTES };
  await db
    .insert(volumes)
    .values({ id, userId, containerId, host, ...made, createdAt: at })
    .onConflictDoNothing();
}

/** @returns the volumes that a host has, as far as the ledger knows */
export const presentVolumes = (db: Db, host: string): Promise<VolumeRow[]> =>
  db
    .select()
    .from(volumes)
    .where(and(eq(volumes.host, host), isNull(volumes.removedAt)));

/** Records that a host has removed volumes; the first time counts. */
export async function recordVolumesRemoved(db: Db, host: string, ids: string[], at: Date): Promise<void> {
  if (ids.length === 0) return;
  await db
    .update(volumes)
    .set({ state: 'removed', removedAt: at })
    .where(and(inArray(volumes.id, ids), eq(volumes.host, host), isNull(volumes.removedAt)));
}
