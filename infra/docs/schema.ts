import { z } from 'zod';

type JsonSchema = {
  $ref?: string;
  type?: string;
  const?: unknown;
  enum?: unknown[];
  minimum?: number;
  maximum?: number;
  minLength?: number;
  maxLength?: number;
  maxItems?: number;
  items?: JsonSchema | false;
  prefixItems?: JsonSchema[];
  properties?: Record<string, JsonSchema>;
  required?: string[];
  anyOf?: JsonSchema[];
  oneOf?: JsonSchema[];
  description?: string;
};

/** A zod schema as JSON Schema, as its input is written. What JSON Schema can't express is any value. */
export const jsonSchema = (schema: z.core.$ZodType): JsonSchema =>
  z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }) as JsonSchema;

/** The schemas within a schema, from the outside in: of an optional, a default, a pipe. */
function* layers(schema: z.core.$ZodType): Generator<z.core.$ZodType> {
  yield schema;
  const { innerType, in: source } = schema._zod.def as { innerType?: z.core.$ZodType; in?: z.core.$ZodType };
  const next = innerType ?? source;
  if (next) yield* layers(next);
}

/** What a schema's metadata says under this name, on its outermost layer that has it. */
export function metadata(schema: z.core.$ZodType, name: string): unknown {
  for (const layer of layers(schema)) {
    const found = z.globalRegistry.get(layer as z.ZodType)?.[name];
    if (found !== undefined) return found;
  }
  return undefined;
}

const UNSAFE = Number.MAX_SAFE_INTEGER;

/** The values that a schema permits, in a few words: `1–100`, `on`, `32 characters or more`. */
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

/** The type of a value in a few words. */
function typeName(schema: JsonSchema): string {
  if ('const' in schema) return JSON.stringify(schema.const);
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(' | ');
  const either = schema.anyOf ?? schema.oneOf;
  if (either) return either.map(typeName).join(' | ');
  if (schema.type === 'array') return schema.items ? `${typeName(schema.items)}[]` : 'array';
  return schema.type ?? 'any';
}

/** The fields of an object in one line: `jobId, kind, result?`, each with its type in the long form. */
export function fields(schema: JsonSchema, form: 'names' | 'types' = 'names'): string {
  const { properties = {}, required = [] } = schema;
  return Object.entries(properties)
    .map(([name, value]) => {
      const shown = required.includes(name) ? name : `${name}?`;
      return form === 'names' ? `\`${shown}\`` : `\`${shown}: ${typeName(value)}\``;
    })
    .join(', ');
}
