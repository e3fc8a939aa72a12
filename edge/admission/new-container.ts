import { type ContainerSpec, StartContainer } from '@warmwind/shared/contract/containers';
import type { Issue } from '@warmwind/shared/contract/errors';
import { newId } from '@warmwind/shared/contract/ids';
import { labelField } from '@warmwind/shared/contract/labels';
import type { Fields } from '@warmwind/shared/engine/ledger/rows';
import type { Config } from '../config.ts';
import { badRequest, notFound } from '../http/errors.ts';

const NAMES = Object.keys(StartContainer.shape);

/**
 * Builds the fields of a new container's record from its request, with a new id.
 * @param input a request that has the fields of `StartContainer`, perhaps among others
 * @throws ApiError for an option that this deployment does not offer
 */
export function newContainer(userId: string, input: object, config: Config): Fields {
  const own = Object.fromEntries(Object.entries(input).filter(([name]) => NAMES.includes(name)));
  const {
    image = Object.keys(config.DESKTOP_IMAGES)[0] ?? '',
    name,
    snapshot,
    labels,
    ...rest
  } = own as StartContainer;
  const issues = offerIssues(image, rest, config);
  if (issues.length > 0) throw badRequest(issues);
  if (snapshot !== undefined) throw notFound('snapshot');

  const { webhookUrl: _, ...wanted } = rest;
  const spec: ContainerSpec = { ...wanted, image: config.DESKTOP_IMAGES[image] ?? '' };
  const id = newId();
  return {
    id,
    userId,
    name: name ?? `desktop-${id.slice(0, 8)}`,
    image,
    width: `${spec.width}`,
    height: `${spec.height}`,
    spec: JSON.stringify(spec),
    ...labelField(labels),
  };
}

/** Lists the options of a request that this deployment does not offer. */
function offerIssues(
  image: string,
  { network, gpus }: Pick<StartContainer, 'network' | 'gpus'>,
  config: Config,
): Issue[] {
  const images = Object.keys(config.DESKTOP_IMAGES);
  const networks = config.DESKTOP_NETWORKS;
  return [
    ...(images.includes(image) ? [] : [{ path: 'image', message: `use one of: ${images.join(', ')}` }]),
    ...(networks.includes(network)
      ? []
      : [{ path: 'network', message: `use one of: ${networks.join(', ')}` }]),
    ...(gpus <= config.MAX_GPUS ? [] : [{ path: 'gpus', message: gpuRemedy(config.MAX_GPUS) }]),
  ];
}

const gpuRemedy = (most: number): string =>
  most > 0 ? `use at most ${most}` : 'no host offers GPUs: leave the field out';
