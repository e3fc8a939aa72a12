import type { OpenAnswers } from '../http/hold.ts';
import type { Outgoing } from '../outgoing.ts';
import type { RecordSources } from '../rooms/records.ts';
import type { RoomContext } from '../rooms/room.ts';
import type { Rooms } from '../rooms/rooms.ts';

/** The dependencies of the routes of jobs. */
export type JobsContext = {
  recordSources: RecordSources;
  rooms: Rooms;
  room: RoomContext;
  answers: OpenAnswers;
  outgoing: Outgoing;
};
