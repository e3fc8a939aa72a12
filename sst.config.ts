/// <reference path="./.sst/platform/config.d.ts" />

/** What `sst deploy --stage <stage>` makes. Settings by stage: infra/stage.ts. Proof without a cloud: infra/sst. */
export default $config({
  app({ stage }) {
    const production = stage === 'production';
    return {
      name: 'warmwind',
      version: '4.17.1',
      home: 'aws',
      removal: production ? 'retain' : 'remove',
      protect: production,
      providers: {
        aws: {
          version: '7.20.0',
          region: 'us-east-1',
          defaultTags: { tags: { project: 'warmwind', stage, 'cost-center': production ? 'live' : 'dev' } },
        },
        cloudflare: '6.15.0',
        'docker-build': '0.0.14',
        random: '4.16.6',
        '@upstash/pulumi': '0.5.0',
      },
    };
  },
  async run() {
    if ($dev) {
      await import('./infra/dev.ts');
      return {};
    }
    const { hosts } = await import('./infra/dns.ts');
    await import('./infra/relay.ts');
    await import('./infra/edge.ts');
    await import('./infra/gpu.ts');
    await import('./infra/scaling.ts');
    await import('./infra/alarms.ts');
    return { edge: `https://${hosts.edge}`, relay: `https://${hosts.relay}` };
  },
});
