import { z } from 'zod';

/** The most labels of a container or a job. */
const MAX_LABELS = 16;

const LabelKey = z
  .string()
  .regex(
    /^[A-Za-z0-9][A-Za-z0-9_./-]{0,62}$/,
    'use 1-63 letters, digits, _ . / or -, starting with a letter or digit',
  );
const LabelValue = z
  .string()
  .max(128)
  .refine((text) => !/[\p{Cc}\p{Cs}]/u.test(text), 'use no control characters');

/** Labels of a container or a job, as they are recorded. */
export const Labels = z.record(z.string(), z.string());
export type Labels = z.infer<typeof Labels>;

/** The labels in a request. */
export const NewLabels = z
  .record(LabelKey, LabelValue)
  .refine((labels) => Object.keys(labels).length <= MAX_LABELS, `at most ${MAX_LABELS} labels`)
  .describe(
    'Labels to find it by, at most 16. A name has 1-63 letters, digits, `_`, `.`, `/` or `-` and starts with a letter or ' +
      'digit; a value has at most 128 characters, none of them a control character.',
  );

/** One label that a list is filtered by, as `key:value`: names have no colon. */
export const LabelFilter = z
  .string()
  .max(63 + 1 + 128)
  .refine((text) => {
    const [key, value] = splitLabel(text);
    return LabelKey.safeParse(key).success && LabelValue.safeParse(value).success;
  }, 'write a label as key:value');

/** The labels of filters; those of one name with two values have `conflict`. */
export function labelsOf(filters: readonly string[]): { labels: Labels; conflict?: string } {
  const labels: Labels = {};
  for (const filter of filters) {
    const [key = '', value = ''] = splitLabel(filter);
    if (Object.hasOwn(labels, key) && labels[key] !== value) return { labels, conflict: key };
    labels[key] = value;
  }
  return { labels };
}

/** The field of a record that holds these labels; none without any. */
export const labelField = (labels: Labels | undefined): { labels?: string } =>
  labels && Object.keys(labels).length > 0 ? { labels: JSON.stringify(labels) } : {};

function splitLabel(text: string): [key: string | undefined, value: string | undefined] {
  const colon = text.indexOf(':');
  return colon < 0 ? [undefined, undefined] : [text.slice(0, colon), text.slice(colon + 1)];
}
