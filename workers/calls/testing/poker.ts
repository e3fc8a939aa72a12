import { appendFileSync } from 'node:fs';
import { poke } from './commands.ts';
import { createTestHost } from './host.ts';

/** A host that begins each call and never ends it: `node poker.ts <redis> <user> <container> <file>`. */
const [url = '', userId = '', containerId = '', file = ''] = process.argv.slice(2);
const { host } = createTestHost(url, [
  {
    command: poke,
    handle: () => {
      appendFileSync(file, 'begun\n');
      return new Promise(() => undefined);
    },
  },
]);
host.runs({ userId, containerId }, 1);
