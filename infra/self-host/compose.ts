import { execFile, execFileSync } from 'node:child_process';
import { stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type Docker from 'dockerode';
import { debian } from '../images/base.ts';
import { exists, follow, pull } from '../images/docker.ts';
import { installCommand } from '../local/stack/tools.ts';

const run = promisify(execFile);
const STAND_INS = join(import.meta.dirname, 'stand-ins');
const BUILD_WITHIN_MS = 10 * 60_000;
const COMMAND_WITHIN_MS = 300_000;

/** Images of others that compose.yaml names, by the variable that names another. */
const FOREIGN = {
  REDIS_IMAGE: { official: 'redis:8.2.1-bookworm', target: 'redis' },
  NGINX_IMAGE: { official: 'nginx:1.29.1-bookworm', target: 'nginx' },
  POSTGRES_IMAGE: { official: 'postgres:18.0-bookworm', target: 'postgres' },
};

/** Compose as the engine's plug-in, else the older separate program. */
function findCompose(): string[] {
  for (const command of [['docker', 'compose'], ['docker-compose']]) {
    const [file = '', ...args] = command;
    try {
      execFileSync(file, [...args, 'version'], { stdio: 'ignore' });
      return command;
    } catch {
      // Try the next one.
    }
  }
  throw new Error(`there is no Docker Compose: \`${installCommand('docker-compose')}\``);
}

/** The images of others: their own where they can be pulled, else of Debian's packages. */
export async function foreignImages(docker: Docker): Promise<Record<string, string>> {
  const chosen: Record<string, string> = {};
  const signal = AbortSignal.timeout(BUILD_WITHIN_MS);
  for (const [variable, { official, target }] of Object.entries(FOREIGN)) {
    const own = `warmwind/stand-in-${target}:latest`;
    if (
      (await exists(docker, official)) ||
      (!(await exists(docker, own)) && (await pull(docker, official, () => {})))
    ) {
      chosen[variable] = official;
      continue;
    }
    if (!(await exists(docker, own))) {
      const base = await debian(docker, () => undefined, signal);
      const stream = await docker.buildImage(
        { context: STAND_INS, src: ['Dockerfile', 'postgres.sh'] },
        {
          t: own,
          target,
          buildargs: { DEBIAN: base },
          networkmode: 'host',
          forcerm: true,
          abortSignal: signal,
        },
      );
      await follow(stream, signal, () => undefined);
    }
    chosen[variable] = own;
  }
  return chosen;
}

/** compose.yaml under a name of its own. */
export class Compose {
  readonly #command: string[];
  readonly #project: string;
  readonly #envFile: string;
  #env: Record<string, string> = {};

  private constructor(command: string[], project: string, envFile: string) {
    this.#command = command;
    this.#project = project;
    this.#envFile = envFile;
  }

  /** @param dir where its .env is written */
  static async create(
    dir: string,
    project: string,
    env: Record<string, string>,
    socket: string,
  ): Promise<Compose> {
    const compose = new Compose(findCompose(), project, join(dir, '.env'));
    await compose.configure({ ...env, DOCKER_GID: `${(await stat(socket)).gid}` });
    return compose;
  }

  /** Adds these variables to .env; `up` applies them. */
  async configure(env: Record<string, string>): Promise<void> {
    this.#env = { ...this.#env, ...env };
    const lines = Object.entries(this.#env).map(([name, value]) => `${name}=${value}\n`);
    await writeFile(this.#envFile, lines.join(''), { mode: 0o600 });
  }

  /** @throws Error with the command's output */
  async run(...args: string[]): Promise<string> {
    const [file = '', ...command] = this.#command;
    const where = ['-f', join(import.meta.dirname, 'compose.yaml'), '--project-name', this.#project];
    const { stdout } = await run(file, [...command, ...where, '--env-file', this.#envFile, ...args], {
      timeout: COMMAND_WITHIN_MS,
      maxBuffer: 2 ** 24,
    });
    return stdout;
  }
}
