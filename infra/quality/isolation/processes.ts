import { readFile, readlink } from 'node:fs/promises';
import type Docker from 'dockerode';

/** A process or thread of a container, as the host's kernel has it: its status by field, and its namespaces. */
export type AuditedProcess = {
  name: string;
  isFirst: boolean;
  status: Record<string, string>;
  /** Those that it does not share with this test. */
  ownNamespaces: string[];
};

const NAMESPACES = ['cgroup', 'ipc', 'mnt', 'net', 'pid', 'user', 'uts'];

/** Reads every process and thread of a container. One that ends meanwhile is left out. */
export async function processesOf(container: Docker.Container): Promise<AuditedProcess[]> {
  const { State } = await container.inspect();
  const { Processes } = await container.top({ ps_args: '-eLo pid,tid' });
  const own = await namespacesOf('self');
  const found = await Promise.all(
    (Processes as string[][]).map(async ([pid = '', tid = '']) => {
      try {
        const folder = `${pid}/task/${tid}`;
        const [text, theirs] = await Promise.all([
          readFile(`/proc/${folder}/status`, 'utf8'),
          namespacesOf(folder),
        ]);
        const status = Object.fromEntries(
          [...text.matchAll(/^(\w+):[ \t]*(.*?)[ \t]*$/gm)].map(([, name, value]) => [name, value]),
        ) as Record<string, string>;
        const ownNamespaces = NAMESPACES.filter((_, i) => theirs[i] !== own[i]);
        return [{ name: status.Name ?? '', isFirst: pid === String(State.Pid), status, ownNamespaces }];
      } catch {
        return [];
      }
    }),
  );
  return found.flat();
}

const namespacesOf = (of: string): Promise<string[]> =>
  Promise.all(NAMESPACES.map((name) => readlink(`/proc/${of}/ns/${name}`)));

/** A mount of a container. */
export type AuditedMount = {
  target: string;
  type: string;
  root: string;
  options: string[];
  superOptions: string[];
};

/** Reads the mounts of a container's first process, and its limits. */
export async function readFirst(container: Docker.Container): Promise<{
  mounts: AuditedMount[];
  limits: Record<string, string>;
  interfaces: string[];
}> {
  const { Pid } = (await container.inspect()).State;
  const read = (name: string) => readFile(`/proc/${Pid}/${name}`, 'utf8');
  const [mounts, limits, net] = await Promise.all([read('mountinfo'), read('limits'), read('net/dev')]);
  return {
    mounts: mounts.trim().split('\n').map(mountOf),
    limits: Object.fromEntries(
      [...limits.matchAll(/^Max ([a-z ]+?) {2,}\S+ +(\S+)/gm)].map(([, name, hard]) => [name, hard]),
    ),
    interfaces: [...net.matchAll(/^ *([^\s:|]+):/gm)].map(([, name = '']) => name),
  };
}

function mountOf(line: string): AuditedMount {
  const [before = '', after = ''] = line.split(' - ');
  const [, , , root = '', target = '', options = ''] = before.split(' ');
  const [type = '', , superOptions = ''] = after.split(' ');
  return { target, type, root, options: options.split(','), superOptions: superOptions.split(',') };
}
