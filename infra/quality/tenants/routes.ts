import { FILE, type Ids, type Thing } from './world.ts';

const JSON_TYPE = 'application/json';

type Schema = { $ref?: string; properties?: Record<string, Schema> };
type Content = Record<string, { schema: Schema; example?: Record<string, unknown> }>;
type Operation = { requestBody?: { content: Content }; responses: Record<string, { content?: object }> };
type Document = {
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Record<string, Schema> };
};

/** The thing that a parameter of a path names: by the path up to it, or by its own name. */
const NAMED: Record<string, Thing | 'public'> = {
  '/containers/{id}': 'container',
  '/jobs/{id}': 'job',
  '/realtime/tokens/{id}': 'link',
  '/webhooks/deliveries/{id}': 'webhook',
  '/v1/models/{id}': 'public',
  // Administrators alone see hosts and limits of users: see the test of routes below /admin.
  '/admin/hosts/{id}': 'public',
  '/admin/users/{id}': 'public',
  viewerId: 'viewer',
  processId: 'process',
  // An idempotency key is its caller's.
  key: 'public',
  // A path is relative to the home of its container.
  path: 'public',
};

/** Bodies in which a container may be named, with the fields that its route needs then. */
const BODIES: Record<string, object> = {
  '/inference': { model: 'ocr-eng' },
  '/realtime/token': { mode: 'view' },
};

/** The body of a request and its media type. */
type Body = { type: string; text: string };

/** One way to name a thing by a route. */
export type RouteCase = {
  name: string;
  method: string;
  thing: Thing;
  /** The path and body of the request, with this id. @param others the ids of the other parameters */
  request: (id: string, others: Partial<Ids>) => { path: string; body?: Body };
};

/** A route of the document. */
export type Route = {
  method: string;
  path: string;
  /** Its parameters and what they name. */
  parameters: { name: string; thing: Thing | 'public' }[];
  isJson: boolean;
  cases: RouteCase[];
};

/**
 * The routes of an OpenAPI document with the ways in which they name things.
 * @throws Error for a parameter or a body that no case is known for
 */
export function routesOf({ paths, components }: Document): Route[] {
  const resolved = ({ $ref, ...schema }: Schema): Schema =>
    $ref ? (components.schemas[$ref.split('/').at(-1) ?? ''] ?? {}) : schema;
  return Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]): Route => {
      const [type, content] = Object.entries(operation.requestBody?.content ?? {})[0] ?? [];
      const fields = content ? Object.keys(resolved(content.schema).properties ?? {}) : [];
      const inBody = fields.includes('containerId') ? [bodyCase(method, path)] : [];
      const isJson = JSON_TYPE in (operation.responses[200]?.content ?? {});
      const text = type === JSON_TYPE ? JSON.stringify(content?.example ?? {}) : 'x';
      const route = { method, path, parameters: parametersOf(path) };
      const inPath = pathCases({ ...route, ...(type === undefined ? {} : { body: { type, text } }) });
      return { ...route, isJson, cases: [...inPath, ...inBody] };
    }),
  );
}

/** The cases of the parameters of a path, each with the same body. */
export function pathCases({
  method,
  path,
  parameters = parametersOf(path),
  body,
}: Pick<Route, 'method' | 'path'> & { parameters?: Route['parameters']; body?: Body }): RouteCase[] {
  return parameters.flatMap(({ name, thing }): RouteCase[] => {
    if (thing === 'public') return [];
    const value = (id: string, others: Partial<Ids>) => (other: Route['parameters'][number]) =>
      other.name === name ? id : (others[other.thing as Thing] ?? FILE);
    const request: RouteCase['request'] = (id, others) => ({
      path: filled(path, parameters, value(id, others)),
      ...(body ? { body } : {}),
    });
    return [{ name: `${method.toUpperCase()} ${path} ${name}`, method, thing, request }];
  });
}

function parametersOf(path: string): Route['parameters'] {
  return [...path.matchAll(/\{(\w+)\}/g)].map(({ 0: text, 1: name = '', index }) => {
    const thing = NAMED[path.slice(0, index) + text] ?? NAMED[name];
    if (!thing) throw new Error(`no case is known for {${name}} of ${path}: add what it names`);
    return { name, thing };
  });
}

/** A path with a value for each of its parameters. */
export const filled = (
  path: string,
  parameters: Route['parameters'],
  value: (parameter: Route['parameters'][number]) => string,
): string =>
  parameters.reduce(
    (text, parameter) => text.replace(`{${parameter.name}}`, encodeURIComponent(value(parameter))),
    path,
  );

function bodyCase(method: string, path: string): RouteCase {
  const fields = BODIES[path];
  if (!fields) throw new Error(`no case is known for the container in the body of ${path}: add its fields`);
  const request = (id: string) => ({
    path,
    body: { type: JSON_TYPE, text: JSON.stringify({ ...fields, containerId: id }) },
  });
  return { name: `${method.toUpperCase()} ${path} containerId`, method, thing: 'container', request };
}
