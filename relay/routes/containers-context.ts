import type { Redis } from 'ioredis';
import type { Known } from '../rooms/records.ts';
import type { Screens } from '../screen/screens.ts';

/** The dependencies of the routes of desktops. */
export type ContainersContext = {
  known: Known;
  realtime: Redis;
  screens: Screens;
};
