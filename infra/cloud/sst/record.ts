/**
 * A resource as a component of SST or a module of ours asked for it; `ignored` inputs are not compared with
 * the account.
 */
export type Resource = { type: string; name: string; inputs: Inputs; ignored: string[] };
// Any input of any provider: each rule reads those that it knows.
// biome-ignore lint/suspicious/noExplicitAny: the providers' inputs have no common type
export type Inputs = Record<string, any>;

/** Everything that one `sst diff` would make. */
export class Recorded {
  readonly stage: string;
  readonly resources: Resource[];

  constructor(stage: string, resources: Resource[]) {
    this.stage = stage;
    this.resources = resources;
  }

  /** Resources whose type ends so, as `ec2/securityGroup:SecurityGroup` or `:SecurityGroup`. */
  all(type: string): Resource[] {
    return this.resources.filter((resource) => resource.type.endsWith(type));
  }

  /**
   * The inputs of one resource.
   * @throws Error when none has this name
   */
  one(type: string, name: string): Inputs {
    const found = this.all(type).find((resource) => resource.name === name);
    if (!found) throw new Error(`no ${type} ${name} in stage ${this.stage}`);
    return found.inputs;
  }

  has(type: string, name: string): boolean {
    return this.all(type).some((resource) => resource.name === name);
  }
}
