import { z } from 'zod';

type JsonSchema = {
  $ref?: string;
  type?: string;
  enum?: unknown[];
  minimum?: number;
  maximum?: number;
  minLength?: number;
  maxLength?: number;
  prefixItems?: JsonSchema[];
  anyOf?: JsonSchema[];
  properties?: Record<string, JsonSchema>;
  required?: string[];
  description?: string;
};

/** Converts the input of a zod schema to JSON Schema. Inexpressible types become any value. */
export const jsonSchema = (schema: z.core.$ZodType): JsonSchema =>
  z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }) as JsonSchema;

/** Iterates over the layers of a schema from the outside in: optional, default, pipe. */
function* layers(schema: z.core.$ZodType): Generator<z.core.$ZodType> {
  yield schema;
  const { innerType, in: source } = schema._zod.def as { innerType?: z.core.$ZodType; in?: z.core.$ZodType };
  const next = innerType ?? source;
  if (next) yield* layers(next);
}

/** @returns a schema's metadata of this name, from its outermost layer that has it */
export function metadata(schema: z.core.$ZodType, name: string): unknown {
  for (const layer of layers(schema)) {
    const found = z.globalRegistry.get(layer as z.ZodType)?.[name];
    if (found !== undefined) return found;
  }
  return undefined;
}

const UNSAFE = Number.MAX_SAFE_INTEGER;

/** Describes the values that a schema permits: `1–100`, `on`, `32 characters or more`. */
export function bounds({ minimum, maximum, minLength, maxLength, enum: values }: JsonSchema): string {
  const shown = values?.map((value) => `\`${value}\``).join(', ');
  if (shown) return shown;
  const [least, most] = [minimum ?? -UNSAFE, maximum ?? UNSAFE];
  if (least > -UNSAFE && most < UNSAFE) return least === most ? `${least}` : `${least}–${most}`;
  if (least > -UNSAFE) return `${least} or more`;
  if (minLength !== undefined && maxLength !== undefined) return `${minLength}–${maxLength} characters`;
  if (minLength !== undefined && minLength > 1) return `${minLength} characters or more`;
  return maxLength === undefined ? '' : `${maxLength} characters at most`;
}

/** Prints the fields of an object in one line, with a mark at optional ones; of a union, those of each form. */
export function fields({ properties = {}, required = [], anyOf }: JsonSchema): string {
  if (anyOf) return anyOf.map(fields).join(' · ');
  return Object.keys(properties)
    .map((name) => `\`${required.includes(name) ? name : `${name}?`}\``)
    .join(', ');
}
