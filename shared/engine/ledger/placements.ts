import { and, eq, inArray, lt } from 'drizzle-orm';
import type { Db } from './db.ts';
import type { ContainerRow } from './rows.ts';
import { containerChanges, containers } from './schema.ts';
import { recordVolume } from './volumes.ts';

/** Thrown inside of the transaction to undo it. */
class ConflictError extends Error {
  override name = 'ConflictError';
}

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
  const { id, host, boot, fence } = placed;
  try {
    // Sent together, the statements cost one trip.
    await db.transaction(async (tx) => {
      const [stands] = await Promise.all([
        place(tx, placed),
        recordChange(tx, placed, at),
        recordVolume(tx, placed, at),
      ]);
      if (stands.length === 0) throw new ConflictError();
    });
    return undefined;
  } catch (error) {
    if (!(error instanceof ConflictError)) throw error;
    const [row] = await db.select().from(containers).where(eq(containers.id, id));
    // A repeated request whose first answer was lost: it stands.
    const same =
      row?.host === host &&
      row.boot === boot &&
      row.fence === fence &&
      row.instanceId === placed.instanceId &&
      row.state === 'starting';
    return same ? undefined : row;
  }
}

/** @returns one row when the placement stands */
const place = (tx: Db, placed: ContainerRow) => {
  const { host, boot, fence, instanceId } = placed;
  return tx
    .insert(containers)
    .values(placed)
    .onConflictDoUpdate({
      target: containers.id,
      set: { state: 'starting', host, boot, fence, instanceId },
      setWhere: and(inArray(containers.state, ['requested', 'starting']), lt(containers.fence, fence)),
    })
    .returning({ id: containers.id });
};

const recordChange = async (tx: Db, { id, userId, fence, host }: ContainerRow, at: Date): Promise<void> => {
  await tx
    .insert(containerChanges)
    .values({ containerId: id, seq: `placed-${fence}`, userId, state: 'starting', host, fence, at })
    .onConflictDoNothing();
};
