import type { z } from 'zod';

/** An argument of a script. `undefined` goes to Redis as the empty string. */
type Value = string | number | undefined;

/** The KEYS and ARGV of one call, as Redis takes them. */
export type ScriptCall = { keys: string[]; args: string[] };

/** A Lua script with the types of its keys, arguments and answer. */
export type Script<Subject, Args, Answer> = {
  readonly lua: string;
  /**
   * @param rest the values after the named arguments, such as pairs of field and value
   * @throws ZodError when the arguments are not those of the script
   */
  call(subject: Subject, args: Args, rest?: readonly Value[]): ScriptCall;
  /** @throws ZodError when the answer of Redis is not one of the script */
  read(answer: unknown): Answer;
};

/**
 * Describes a Lua script: `runScript` (Node) and `prepareScript` (the edge) run it.
 * @param options.keys makes the KEYS, in the order of the script
 * @param options.args the named arguments, in the order of ARGV
 * @param options.answer the answer of the script, as the client library returns it
 *
 * @example
 * const rename = defineScript({
 *   lua: "return redis.call('HSET', KEYS[1], 'name', ARGV[1])",
 *   keys: (of: { userId: string; id: string }) => [keys.container(of.userId, of.id)],
 *   args: z.object({ name: z.string() }),
 *   answer: z.number(),
 * });
 * await runScript(redis, rename, { userId, id }, { name: 'build' });
 */
export function defineScript<
  Subject,
  Args extends z.ZodObject<z.core.$ZodLooseShape>,
  Answer extends z.ZodType,
>(options: {
  lua: string;
  keys: (subject: Subject) => string[];
  args: Args;
  answer: Answer;
}): Script<Subject, z.input<Args>, z.output<Answer>> {
  const { lua, keys, args, answer } = options;
  const names = Object.keys(args.shape);
  return {
    lua,
    call(subject, values, rest = []) {
      const given = args.parse(values) as Record<string, Value>;
      const all = [...names.map((name) => given[name]), ...rest];
      return { keys: keys(subject), args: all.map((value) => String(value ?? '')) };
    },
    read: (raw) => answer.parse(raw),
  };
}
