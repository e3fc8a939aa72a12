import { z } from '@hono/zod-openapi';
import { LabelFilter, type Labels, labelsOf } from '@warmwind/shared/contract/labels';
import { badRequest } from '../http/errors.ts';

/** The query parameter `label` of a list; it may be repeated. */
export const LabelShape = {
  label: z
    .preprocess((given) => (typeof given === 'string' ? [given] : given), z.array(LabelFilter).max(16))
    .optional()
    .openapi({
      type: 'array',
      items: { type: 'string' },
      description:
        'Only what has this label, as `key:value`. Repeat it to name several: all of them must match.',
      example: ['team:design'],
    }),
};

/**
 * Reads the labels that a query names.
 * @throws ApiError when it names two values of one label
 */
export function readLabels({ label = [] }: { label?: string[] | undefined }): Labels {
  const { labels, conflict } = labelsOf(label);
  if (conflict === undefined) return labels;
  throw badRequest([{ path: 'label', message: `name one value of ${conflict}: a label has one` }]);
}
