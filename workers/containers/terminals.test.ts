import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createLog } from '@warmwind/shared/runtime/node/log';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { checkTerminals, MAX_TERMINALS } from './terminals.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'warmwind-terminals-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

test.each([
  [100, 4096, 1024, 0],
  [103, 4096, 1024, 1],
  [1000, 1_048_576, 1024, 0],
  [1, MAX_TERMINALS - 1, 0, 1],
])(
  '%i desktops on a kernel with %i terminals, %i of them reserved: %i warnings',
  async (desktops, max, reserve, warnings) => {
    const log = createLog('test');
    log.level = 'silent';
    const warn = vi.spyOn(log, 'warn');
    await writeFile(join(folder, 'max'), `${max}\n`);
    await writeFile(join(folder, 'reserve'), `${reserve}\n`);
    await checkTerminals(desktops, log, folder);
    expect(warn).toHaveBeenCalledTimes(warnings);
    await checkTerminals(desktops, log, join(folder, 'none'));
    expect(warn).toHaveBeenCalledTimes(warnings);
  },
);
