import type Docker from 'dockerode';
import { expect } from 'vitest';
import { SECCOMP } from '../../../workers/containers/seccomp.ts';
import { type AuditedMount, processesOf, readFirst } from './processes.ts';

/** What a container was started with. */
export type Expected = { uid: number; memoryMb: number; cpus: number; supervised?: boolean };

const MIB = 2 ** 20;
const NONE = '0'.repeat(16);
/** SETGID, SETUID, SETPCAP, KILL. */
const SUPERVISOR_CAPABILITIES = (0b1111 << 5).toString(16).padStart(16, '0');
/** Seccomp's mode of a filter. */
const FILTERED = '2';

/**
 * File systems that a desktop may write to, with the options that each must have and their sizes in KB. All other mounts are
 * read-only, or of the kernel's own files.
 */
const WRITABLE: Record<string, { options: string[]; size?: string }> = {
  '/dev': { options: ['nosuid'], size: '65536k' },
  '/dev/mqueue': { options: ['nosuid', 'nodev', 'noexec'] },
  '/dev/pts': { options: ['nosuid', 'noexec'] },
  '/dev/shm': { options: ['nosuid', 'nodev', 'noexec'], size: '65536k' },
  '/home/user': { options: ['nosuid', 'nodev'], size: '131072k' },
  '/proc': { options: ['nosuid', 'nodev', 'noexec'] },
  '/run/rfb': { options: ['nosuid', 'nodev', 'noexec'], size: '1024k' },
  // Where cgroups have the first version, the folder that holds their mounts: root's, and each of them is read-only.
  '/sys/fs/cgroup': { options: ['nosuid', 'nodev', 'noexec'] },
  '/tmp': { options: ['nosuid', 'nodev', 'noexec'], size: '65536k' },
};
/** Files that the engine makes for each container. */
const ENGINE_FILES = ['/etc/resolv.conf', '/etc/hostname', '/etc/hosts'];
const READ_ONLY = ['/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys'];
const LIMITS = {
  'core file size': '1',
  'nice priority': '0',
  'open files': '16384',
  'pending signals': '4096',
  processes: '256',
  'realtime priority': '0',
};

/** Checks a running or paused container from the host: each process, mount and limit, and the engine's own view. */
export async function audit(container: Docker.Container, expected: Expected): Promise<void> {
  await auditProcesses(container, expected);
  await auditFirst(container);
  await auditEngine(container, expected);
}

async function auditProcesses(
  container: Docker.Container,
  { uid, supervised = true }: Expected,
): Promise<void> {
  const all = await processesOf(container);
  expect(all.length).toBeGreaterThan(0);
  for (const { name, isFirst, status, ownNamespaces } of all) {
    const isSupervisor = supervised && name === 'supervisor';
    const user = isSupervisor ? '0' : String(uid);
    // Keepers hold no capability, and can't gain one: they keep the bound of PID 1, and start nothing as root.
    const held = { CapPrm: isFirst, CapEff: isFirst, CapBnd: true, CapInh: false, CapAmb: false };
    for (const [set, mayHold] of Object.entries(held)) {
      const allowed = isSupervisor && mayHold ? [NONE, SUPERVISOR_CAPABILITIES] : [NONE];
      expect([name, set, allowed]).toEqual([name, set, expect.arrayContaining([status[set]])]);
    }
    expect([name, status.Uid?.split('\t'), status.Gid?.split('\t')]).toEqual([
      name,
      Array(4).fill(user),
      Array(4).fill(user),
    ]);
    // Its own group at most.
    expect(['', user]).toContain(status.Groups);
    expect([name, status.NoNewPrivs, status.Seccomp]).toEqual([name, '1', FILTERED]);
    // The namespaces of users is the host's, and with cgroups of the first version theirs too.
    expect([name, ownNamespaces]).toEqual([
      name,
      expect.arrayContaining(['ipc', 'mnt', 'net', 'pid', 'uts']),
    ]);
  }
}

async function auditFirst(container: Docker.Container): Promise<void> {
  const { mounts, limits, interfaces } = await readFirst(container);
  expect(interfaces).toEqual(['lo']);
  expect(limits).toMatchObject(LIMITS);
  const last = new Map(mounts.map((mount) => [mount.target, mount]));
  const root = last.get('/');
  expect(root?.options).toContain('ro');
  for (const target of READ_ONLY)
    expect([target, last.get(target)?.options]).toEqual([target, expect.arrayContaining(['ro'])]);
  for (const mount of last.values()) auditMount(mount);
}

function auditMount(mount: AuditedMount): void {
  const { target, type, root, options, superOptions } = mount;
  const writable = WRITABLE[target];
  // The null device in place of a file of the kernel.
  const isMask = type === 'tmpfs' && root === '/null';
  if (ENGINE_FILES.includes(target)) {
    expect([target, options]).toEqual([target, expect.arrayContaining(['ro'])]);
    return;
  }
  // Nothing of the host's disks.
  expect([target, type]).toEqual([
    target,
    expect.stringMatching(/^(overlay|proc|tmpfs|sysfs|devpts|mqueue|cgroup2?)$/),
  ]);
  if (isMask) return;
  if (!options.includes('ro'))
    expect([target, Object.keys(WRITABLE)]).toEqual([target, expect.arrayContaining([target])]);
  if (!writable) return;
  expect([target, options]).toEqual([target, expect.arrayContaining(writable.options)]);
  if (writable.size)
    expect([target, superOptions]).toEqual([target, expect.arrayContaining([`size=${writable.size}`])]);
}

async function auditEngine(
  container: Docker.Container,
  { uid, memoryMb, cpus, supervised = true }: Expected,
): Promise<void> {
  const { Config, HostConfig, NetworkSettings, Mounts } = await container.inspect();
  expect(Config.User).toBe(supervised ? '0:0' : `${uid}:${uid}`);
  expect(HostConfig).toMatchObject({
    Privileged: false,
    ReadonlyRootfs: true,
    CapDrop: ['ALL'],
    CapAdd: supervised ? ['SETUID', 'SETGID', 'SETPCAP', 'KILL'] : null,
    SecurityOpt: ['no-new-privileges', SECCOMP],
    Binds: null,
    Devices: null,
    DeviceRequests: null,
    DeviceCgroupRules: null,
    GroupAdd: null,
    VolumesFrom: null,
    PidMode: '',
    UTSMode: '',
    UsernsMode: '',
    IpcMode: 'private',
    NetworkMode: 'none',
    CgroupParent: '',
    PublishAllPorts: false,
    Memory: memoryMb * MIB,
    MemorySwap: memoryMb * MIB,
    NanoCpus: cpus * 1e9,
    PidsLimit: supervised ? 448 : 256,
  });
  expect(HostConfig.OomKillDisable ?? false).toBe(false);
  expect(HostConfig.MaskedPaths).toEqual(
    expect.arrayContaining(['/proc/kcore', '/proc/keys', '/sys/firmware']),
  );
  expect(HostConfig.ReadonlyPaths).toEqual(expect.arrayContaining([...READ_ONLY, '/proc/sysrq-trigger']));
  expect(Object.keys(NetworkSettings.Networks)).toEqual(['none']);
  expect(Mounts.map(({ Type, Destination }) => [Type, Destination]).sort()).toEqual([
    ['volume', '/dev/pts'],
    ['volume', '/run/rfb'],
  ]);
}
