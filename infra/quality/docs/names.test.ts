import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { DOCUMENTS, problemsOf, vagueSentences } from './names.ts';
import { ROOT } from './reference.ts';

it.each(DOCUMENTS)(
  'every path, setting, script, route, event, code and link that %s names exists',
  (document) => {
    expect(problemsOf(document, readFileSync(join(ROOT, document), 'utf8')).join('\n')).toBe('');
  },
);

it.each(DOCUMENTS)('no sentence of %s begins with What, Who, Whoever or Nobody', (document) => {
  expect(vagueSentences(readFileSync(join(ROOT, document), 'utf8')).join('\n')).toBe('');
});

it('each kind of name that does not exist is reported', () => {
  const text = [
    '`edge/no-such-file.ts` `edge/app.ts`',
    '`NO_SUCH_SETTING` `RATE_LIMITS` `RATE_LIMITS={}`',
    '`job.no_such_event` `job.completed` `vnc:nothing` `vnc:key`',
    '`GET /no/route/like/this` `GET /jobs/<jobId>/events`',
    '`no_such_code` `quota_exceeded` `noSuchName` `createApp`',
    '[a link](no-such-page.md) [another](README.md)',
    'npm run no-such-script, npm run smoke',
  ].join('\n');
  expect(problemsOf('README.md', text)).toEqual([
    '1: edge/no-such-file.ts: no such file',
    '2: NO_SUCH_SETTING: no such name in the code',
    '3: job.no_such_event: no such event',
    '3: vnc:nothing: no such event',
    '4: GET /no/route/like/this: no such route',
    '5: no_such_code: no such name in the code',
    '5: noSuchName: no such name in the code',
    '6: no-such-page.md: no such file',
    'npm run no-such-script: no such script',
  ]);
});
