import { readFileSync } from 'node:fs';
import { ledgerUrl } from './ledger.ts';
import { modelServer } from './models.ts';
import { groups, vpc } from './network.ts';
import { queue, realtime } from './redis.ts';
import { images } from './registry.ts';
import { adminPassword, alertWebhook, parameters, pathOf, webhookSecret } from './secrets.ts';
import { fleet, region, SHUTDOWN_MS, STOP_TIMEOUT_S, stage } from './stage.ts';

/**
 * An image with NVIDIA's driver and Docker, looked up once a deployment, so that all of its hosts run the
 * same.
 */
const AMI = '/aws/service/deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-amazon-linux-2023/latest/ami-id';

const secrets = parameters('worker', {
  REDIS_QUEUE_URL: queue.url,
  REDIS_REALTIME_URL: realtime.url,
  LEDGER_URL: ledgerUrl,
  WEBHOOK_SECRET: webhookSecret.value,
  ADMIN_PASSWORD: adminPassword,
  ...(alertWebhook ? { ALERT_WEBHOOK_URL: alertWebhook.value } : {}),
});

const account = aws.getCallerIdentityOutput().accountId;
const group = `${fleet}-gpu`;
const groupArn = $interpolate`arn:aws:autoscaling:${region}:${account}:autoScalingGroup:*:autoScalingGroupName/${group}`;

/** A host reads its own parameters, pulls images and answers its group. Operators come in through Session Manager. */
const role = new aws.iam.Role('GpuHost', {
  assumeRolePolicy: aws.iam.assumeRolePolicyForPrincipal({ Service: 'ec2.amazonaws.com' }),
  managedPolicyArns: [
    'arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore',
    'arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryReadOnly',
  ],
  inlinePolicies: [
    {
      name: 'own',
      policy: $jsonStringify({
        Version: '2012-10-17',
        Statement: [
          {
            Effect: 'Allow',
            Action: ['ssm:GetParametersByPath'],
            Resource: [$interpolate`arn:aws:ssm:${region}:${account}:parameter${pathOf('worker')}`],
          },
          {
            Effect: 'Allow',
            Action: ['autoscaling:CompleteLifecycleAction', 'autoscaling:SetInstanceProtection'],
            Resource: [groupArn],
          },
        ],
      }),
    },
  ],
});
const profile = new aws.iam.InstanceProfile('GpuHostProfile', { role: role.name });

const script = (name: string) => readFileSync(`${$cli.paths.root}/infra/cloud/gpu-host/${name}`, 'utf8');

/** Settings first, then the scripts as they are in infra/cloud/gpu-host. Secrets are fetched on the host, see boot.sh. */
const userData = $util.all([region, images.worker, images.desktops]).apply(([at, worker, desktops]) => {
  const settings = {
    AWS_REGION: at,
    PARAMETERS: pathOf('worker'),
    GROUP: group,
    FLEET: fleet,
    WORKER_IMAGE: worker,
    // By the name under which the edge offers each.
    DESKTOP_IMAGES: Object.entries(desktops)
      .map(([name, image]) => `${name}=${image}`)
      .join(','),
    MODEL_IMAGE: modelServer.image,
    MODEL: modelServer.model,
    SHUTDOWN_TIMEOUT_MS: `${SHUTDOWN_MS}`,
    STOP_TIMEOUT_S: `${STOP_TIMEOUT_S}`,
  };
  const lines = Object.entries(settings).map(([name, value]) => `${name}=${value}`);
  return [
    '#!/bin/bash',
    'set -euo pipefail',
    'mkdir -p /etc/warmwind',
    `cat >/etc/warmwind/host.env <<'END'\n${lines.join('\n')}\nEND`,
    `cat >/usr/local/bin/warmwind-lifecycle <<'END_OF_SCRIPT'\n${script('lifecycle.sh')}END_OF_SCRIPT`,
    script('boot.sh'),
  ].join('\n');
});

const template = new aws.ec2.LaunchTemplate(
  'GpuTemplate',
  {
    namePrefix: `${group}-`,
    imageId: aws.ssm.getParameterOutput({ name: AMI }).value,
    instanceType: stage.gpu.instance,
    iamInstanceProfile: { arn: profile.arn },
    vpcSecurityGroupIds: [groups.worker.id],
    // A desktop's container is one hop further, and does not reach the host's credentials.
    metadataOptions: { httpEndpoint: 'enabled', httpTokens: 'required', httpPutResponseHopLimit: 1 },
    blockDeviceMappings: [
      {
        deviceName: '/dev/xvda',
        ebs: { volumeType: 'gp3', volumeSize: 200, encrypted: 'true', deleteOnTermination: 'true' },
      },
    ],
    monitoring: { enabled: true },
    userData: userData.apply((text) => Buffer.from(text).toString('base64')),
    tagSpecifications: ['instance', 'volume'].map((resourceType) => ({
      resourceType,
      tags: { Name: group, project: 'warmwind', stage: $app.stage },
    })),
  },
  // A host reads them while it starts.
  { dependsOn: Object.values(secrets) },
);

export const hosts = new aws.autoscaling.Group('Gpu', {
  name: group,
  minSize: stage.gpu.min,
  maxSize: stage.gpu.max,
  vpcZoneIdentifiers: vpc.privateSubnets,
  mixedInstancesPolicy: {
    launchTemplate: {
      launchTemplateSpecification: {
        launchTemplateId: template.id,
        version: template.latestVersion.apply(String),
      },
    },
    instancesDistribution: {
      onDemandPercentageAboveBaseCapacity: stage.gpu.spot ? 0 : 100,
      spotAllocationStrategy: 'price-capacity-optimized',
    },
  },
  capacityRebalance: stage.gpu.spot,
  healthCheckType: 'EC2',
  healthCheckGracePeriod: 300,
  defaultInstanceWarmup: 300,
  enabledMetrics: ['GroupInServiceInstances', 'GroupMaxSize'],
  // A host joins once its worker is ready, and leaves once its worker has drained; see lifecycle.sh.
  initialLifecycleHooks: [
    {
      name: 'ready',
      lifecycleTransition: 'autoscaling:EC2_INSTANCE_LAUNCHING',
      heartbeatTimeout: 1200,
      defaultResult: 'ABANDON',
    },
    {
      name: 'drained',
      lifecycleTransition: 'autoscaling:EC2_INSTANCE_TERMINATING',
      heartbeatTimeout: 120,
      defaultResult: 'CONTINUE',
    },
  ],
  instanceRefresh: {
    strategy: 'Rolling',
    preferences: { minHealthyPercentage: 90, scaleInProtectedInstances: 'Wait' },
  },
  tags: [{ key: 'stage', value: $app.stage, propagateAtLaunch: true }],
});
