import { describe, expect, test } from 'vitest';
import { webhookIssues } from './webhook-url.ts';

const issues = (url: string, WEBHOOK_ALLOW: string[] = []) => webhookIssues(url, { WEBHOOK_ALLOW });

describe('a webhook', () => {
  test.each([
    'http://127.0.0.1/',
    'http://127.1/',
    'http://2130706433/',
    'http://0x7f000001/',
    'http://0/',
    'http://10.0.0.1:8080/x',
    'http://172.16.0.1/',
    'http://192.168.1.1/',
    'http://169.254.169.254/latest/meta-data',
    'http://100.64.0.1/',
    'http://224.0.0.1/',
    'http://255.255.255.255/',
    'http://[::1]/',
    'http://[::]/',
    'http://[fd00::1]/',
    'http://[fe80::1]/',
    'http://[::ffff:127.0.0.1]/',
    'http://[64:ff9b::7f00:1]/',
    'http://localhost/',
    'http://LOCALHOST./',
    'http://a.localhost:80/',
  ])('does not go to %s', (url) => expect(issues(url)).toMatchObject([{ path: 'webhookUrl' }]));

  test.each([
    'https://hooks.test/',
    'http://192.0.43.8/',
    'http://[2606:4700::1]/',
    'http://localhost.test/',
  ])('goes to %s', (url) => expect(issues(url)).toEqual([]));

  test.each([
    ['http://10.1.2.3/', '10.0.0.0/8'],
    ['http://localhost/', '127.0.0.0/8'],
    ['http://[fd00::1]/', 'fd00::/8'],
    ['http://[::ffff:10.0.0.1]/', '10.0.0.0/8'],
  ])('goes to %s where %s is allowed', (url, range) => expect(issues(url, [range])).toEqual([]));
});
