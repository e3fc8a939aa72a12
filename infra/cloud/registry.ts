import { stage } from './stage.ts';

/** Images that virtual machines run; SST itself builds those of container services. */
const repository = new aws.ecr.Repository('Images', {
  name: `warmwind-${$app.stage}`,
  imageTagMutability: 'MUTABLE',
  imageScanningConfiguration: { scanOnPush: true },
  encryptionConfigurations: [{ encryptionType: 'AES256' }],
  forceDelete: $app.removal === 'remove',
});

new aws.ecr.LifecyclePolicy('ImagesKept', {
  repository: repository.name,
  policy: JSON.stringify({
    rules: [
      {
        rulePriority: 1,
        description: 'Images without a tag',
        selection: {
          tagStatus: 'untagged',
          countType: 'sinceImagePushed',
          countUnit: 'days',
          countNumber: 30,
        },
        action: { type: 'expire' },
      },
    ],
  }),
});

const login = aws.ecr.getAuthorizationTokenOutput({ registryId: repository.registryId });

type Source = { context: string; dockerfile: string; target?: string; buildArgs?: Record<string, string> };

/**
 * Builds and pushes an image.
 * @returns its name with its digest, so that a host runs exactly this one
 */
function pushed(name: string, { context, dockerfile, target, buildArgs = {} }: Source): $util.Output<string> {
  const at = (path: string) => `${$cli.paths.root}/${path}`;
  const image = new dockerbuild.Image(`${name}Image`, {
    context: { location: at(context) },
    dockerfile: { location: at(dockerfile) },
    ...(target ? { target } : {}),
    buildArgs,
    platforms: ['linux/amd64'],
    tags: [$interpolate`${repository.repositoryUrl}:${name.toLowerCase()}`],
    registries: [
      { address: login.proxyEndpoint, username: login.userName, password: $util.secret(login.password) },
    ],
    push: true,
  });
  return $interpolate`${repository.repositoryUrl}@${image.digest}`;
}

export const images = {
  worker: pushed('Worker', { context: '.', dockerfile: 'infra/images/Dockerfile', target: 'worker' }),
  /** By flavour. */
  desktops: Object.fromEntries(
    stage.desktops.map((flavour) => {
      const extra = flavour.slice('desktop'.length);
      const image = pushed(`Desktop${extra}`, {
        context: 'infra/images/desktop',
        dockerfile: 'infra/images/desktop/Dockerfile',
        buildArgs: { EXTRA: extra },
      });
      return [flavour, image];
    }),
  ),
};
