import { and, eq, inArray, lt } from 'drizzle-orm';
import type { Db } from './db.ts';
import type { ContainerRow } from './rows.ts';
import { containerChanges, containers } from './schema.ts';
import { recordVolume } from './volumes.ts';

/**
 * Records a placement before anything is created. The decision of Redis stands only if the ledger knows no
 * later placement and no later state, so a Redis that lost its last seconds can't cause a second container.
 *
 * @param placed the container as Redis has it after the placement: host, boot, instance and the new fence
 * @returns `undefined` when it stands, else the conflicting row
 */
export async function recordPlacement(
  db: Db,
  placed: ContainerRow,
  at: Date,
): Promise<ContainerRow | undefined> {
  const { id, userId, host, boot, fence, instanceId } = placed;
  return db.transaction(async (tx) => {
    const [stands] = await tx
      .insert(containers)
      .values(placed)
      .onConflictDoUpdate({
        target: containers.id,
        set: { state: 'starting', host, boot, fence, instanceId },
        setWhere: and(inArray(containers.state, ['requested', 'starting']), lt(containers.fence, fence)),
      })
      .returning({ id: containers.id });
    if (!stands) {
      const [row] = await tx.select().from(containers).where(eq(containers.id, id));
      // A repeated request whose first answer was lost: it stands.
      const same = row?.host === host && row.boot === boot && row.fence === fence && row.state === 'starting';
      return same ? undefined : row;
    }
    await tx
      .insert(containerChanges)
      .values({ containerId: id, seq: `placed-${fence}`, userId, state: 'starting', host, fence, at })
      .onConflictDoNothing();
    await recordVolume(tx, placed, at);
    return undefined;
  });
}
