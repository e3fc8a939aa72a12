import { z } from '@hono/zod-openapi';
import {
  briefContainer,
  CONTAINER_STATES,
  type Container,
  containerFromRecord,
  hasEnded,
} from '@warmwind/shared/contract/containers';
import { keys } from '@warmwind/shared/engine/keys';
import { listContainers } from '@warmwind/shared/engine/ledger/reads';
import { containerOf } from '@warmwind/shared/engine/ledger/rows';
import type { Services } from '../services.ts';
import { Lister } from './list.ts';

/** The filters of the list. */
export const ContainerFilters = { state: z.enum(CONTAINER_STATES).optional() };
type Where = z.output<z.ZodObject<typeof ContainerFilters>>;

/** Lists the containers of the caller. */
export const containerLister = (services: Services) =>
  new Lister<Container, Where>(services, {
    index: keys.containers,
    key: keys.container,
    fromRecord: (record) => {
      const container = containerFromRecord(record);
      return container && briefContainer(container);
    },
    fromLedger: async (db, page, { state }) =>
      (await listContainers(db, page, { state })).map((row) => briefContainer(containerOf(row))),
    hasEnded: ({ state }) => hasEnded(state),
    outdates: (row, record) => hasEnded(row.state) && !hasEnded(record.state),
  });
