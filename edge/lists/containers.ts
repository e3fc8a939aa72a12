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

const Text = z.string().min(1).max(128);

/** The filters of the list by fields. */
export const ContainerFilters = {
  state: z.enum(CONTAINER_STATES).optional(),
  name: Text.optional().describe('Only those with this name.'),
  image: Text.optional().describe('Only those of this image.'),
  host: Text.optional().describe('Only those that were assigned to this host.'),
};
type Filters = z.output<z.ZodObject<typeof ContainerFilters>>;

/** Lists the containers of the caller. */
export const containerLister = (services: Services) =>
  new Lister<Container, Filters>(services, {
    index: keys.containers,
    key: keys.container,
    fromRecord: (record) => {
      const container = containerFromRecord(record);
      return container && briefContainer(container);
    },
    fromLedger: async (db, page, { fields, labels }) =>
      (await listContainers(db, page, fields, labels)).map((row) => briefContainer(containerOf(row))),
    hasEnded: ({ state }) => hasEnded(state),
    outdates: (row, record) => hasEnded(row.state) && !hasEnded(record.state),
  });
