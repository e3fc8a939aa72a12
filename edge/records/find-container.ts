import { type Container, containerFromRecord } from '@warmwind/shared/contract/containers';
import { isId } from '@warmwind/shared/contract/ids';
import { keys } from '@warmwind/shared/engine/keys';
import { readContainer } from '@warmwind/shared/engine/ledger/reads';
import { containerOf } from '@warmwind/shared/engine/ledger/rows';
import type { Context } from 'hono';
import type { AppEnv } from '../env.ts';
import type { Services } from '../services.ts';
import { readThrough } from './read-through.ts';

/** Finds one of the caller's desktops, in the records or the ledger. */
export async function findContainer(
  c: Context<AppEnv>,
  services: Services,
  id: string,
): Promise<Container | undefined> {
  if (!isId(id)) return undefined;
  const user = c.get('user').id;
  return readThrough(c, services, {
    key: keys.container(user, id),
    fromRecord: containerFromRecord,
    fromLedger: async (db) => {
      const row = await readContainer(db, user, id);
      return row && containerOf(row);
    },
  });
}
