import type { Redis } from 'ioredis';
import type { Known } from '../rooms/records.ts';
import type { Screens } from '../screen/screens.ts';

/** What the routes of desktops are built on. */
export type ContainersContext = {
  known: Known;
  realtime: Redis;
  screens: Screens;
};
