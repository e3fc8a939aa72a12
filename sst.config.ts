/// <reference path="./.sst/platform/config.d.ts" />

/**
 * The deployment that `sst deploy --stage <stage>` makes. Settings by stage: infra/cloud/stage.ts. Proof
 * without a cloud: infra/cloud/sst.
 */
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
      await import('./infra/cloud/dev.ts');
      return {};
    }
    const { hosts } = await import('./infra/cloud/dns.ts');
    await import('./infra/cloud/relay.ts');
    await import('./infra/cloud/edge.ts');
    await import('./infra/cloud/gpu.ts');
    await import('./infra/cloud/scaling.ts');
    await import('./infra/cloud/alarms.ts');
    return { edge: `https://${hosts.edge}`, relay: `https://${hosts.relay}` };
  },
});
