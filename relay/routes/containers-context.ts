import type { Redis } from 'ioredis';
import type { RecordSources } from '../rooms/records.ts';
import type { Screens } from '../screen/screens.ts';

/** The dependencies of the routes of desktops. */
export type ContainersContext = {
  recordSources: RecordSources;
  realtime: Redis;
  screens: Screens;
};
