/**
 * Escapes that a program of a desktop may try, in Perl, which makes system calls by their numbers on x86-64. Each sets `$r` to
 * whether it got what it wanted, and leaves the reason in `$!` otherwise.
 */
export type Escape = { name: string; program: string };

/** A system call. Perl passes a text as a pointer, and only one in a variable. */
const call = (name: string, number: number, ...args: (number | string)[]): Escape => {
  const variables = args.map((value, i) => `my $a${i} = ${value};`).join(' ');
  return {
    name,
    program: `${variables} $r = syscall(${[number, ...args.map((_, i) => `$a${i}`)].join(', ')}) >= 0`,
  };
};
const named = (name: string, program: string): Escape => ({ name, program });
const path = (text: string): string => `my $p = ${JSON.stringify(text)};`;
/** A system call with one path as its first argument. */
const withPath = (name: string, number: number, text: string, ...args: (number | string)[]): Escape =>
  named(name, `${path(text)} $r = syscall(${[number, '$p', ...args].join(', ')}) >= 0`);
const writes = (name: string, file: string, content = '1'): Escape =>
  named(
    name,
    `if (open(my $f, ">", ${JSON.stringify(file)})) { $r = syswrite($f, ${JSON.stringify(content)}); my $e = $!; close $f; $! = $e }`,
  );
const opens = (name: string, file: string, mode = '<'): Escape =>
  named(name, `$r = open(my $f, "${mode}", ${JSON.stringify(file)})`);
const socket = (name: string, family: number, type: number, protocol = 0): Escape =>
  named(name, `$r = syscall(41, ${family}, ${type}, ${protocol}) >= 0`);

const NAMESPACES = {
  users: 0x1000_0000,
  mounts: 0x2_0000,
  processes: 0x2000_0000,
  networks: 0x4000_0000,
  ipc: 0x800_0000,
  names: 0x400_0000,
  cgroups: 0x200_0000,
  time: 0x80,
};

const mounts: Escape[] = [
  named('mount a file system', 'my ($s, $t) = ("tmpfs", "/tmp"); $r = syscall(165, $s, $t, $s, 0, 0) == 0'),
  named('make the root writable', 'my ($s, $t) = ("none", "/"); $r = syscall(165, $s, $t, 0, 0x20, 0) == 0'),
  named(
    'bind a folder of the kernel',
    'my ($s, $t) = ("/proc/sys", "/tmp"); $r = syscall(165, $s, $t, 0, 0x1000, 0) == 0',
  ),
  withPath('unmount a mask', 166, '/sys/firmware', 2),
  call('open a file system', 430, '"tmpfs\\0"', 0),
  named('clone a mount', 'my $p = "/"; $r = syscall(428, -100, $p, 1) >= 0'),
  named(
    'change the flags of a mount',
    'my ($p, $a) = ("/", "\\0" x 32); $r = syscall(442, -100, $p, 0, $a, 32) == 0',
  ),
  named('replace the root', 'my $p = "/tmp"; $r = syscall(155, $p, $p) == 0'),
  withPath('chroot', 161, '/tmp'),
  named('open a file by its handle', 'my $h = pack("LlQ", 8, 1, 2); $r = syscall(304, -100, $h, 0) >= 0'),
  named(
    'leave the root by its parent',
    '$r = join(":", (stat "/..")[0,1]) ne join(":", (stat "/")[0,1]); $! = 13 unless $r',
  ),
  named(
    'leave the root by a descriptor',
    'opendir(my $d, "/"); chdir($d); $r = join(":", (stat "../../..")[0,1]) ne join(":", (stat "/")[0,1]); $! = 13 unless $r',
  ),
  opens('enter the root of PID 1', '/proc/1/root/etc/passwd'),
];

const namespaces: Escape[] = [
  ...Object.entries(NAMESPACES).flatMap(([name, flag]) => [
    call(`unshare the namespace of ${name}`, 272, flag),
    // Signals of the new process are those of its parent's end: SIGCHLD.
    named(
      `clone into a new namespace of ${name}`,
      `my $c = syscall(56, ${flag & ~0xff} | 17, 0, 0, 0, 0); exit if $c == 0; $r = ${flag === 0x80 ? 0 : '$c > 0'}; $! = 1 if ${Number(flag === 0x80)}`,
    ),
  ]),
  call('clone by the newer call', 435, '"\\0" x 88', 88),
  named('enter a namespace', 'open(my $f, "<", "/proc/self/ns/net"); $r = syscall(308, fileno($f), 0) == 0'),
  named('enter the namespaces of PID 1', 'my $f = syscall(434, 1, 0); $r = syscall(308, $f, 0x20000) == 0'),
  writes('map root into its own namespace', '/proc/self/uid_map', '0 0 1'),
];

const kernel: Escape[] = [
  call('load a kernel module', 175, '"\\0" x 64', 64, '"\\0"'),
  call('load a kernel module from a file', 313, 0, '"\\0"', 0),
  call('unload a kernel module', 176, '"loop\\0"', 0),
  call('load another kernel', 246, 0, 0, '"\\0"', 0),
  call('bpf', 321, 0, '"\\0" x 128', 128),
  call('perf_event_open', 298, '"\\0" x 128', 0, -1, -1, 0),
  call('userfaultfd', 323, 0x801),
  call('io_uring_setup', 425, 8, '"\\0" x 120'),
  call('io_setup', 206, 128, 'pack("Q", 0)'),
  call('memfd_secret', 447, 0),
  call('add a key', 248, '"user\\0"', '"d\\0"', '"v"', 1, -3),
  call('keyctl', 250, 0, -3, 1),
  call('request a key', 249, '"user\\0"', '"d\\0"', 0, -3),
  call('fanotify_init', 300, 0, 0),
  call('read the log of the kernel', 103, 3, '"\\0" x 4096', 4096),
  call('reboot', 169, 0xfee1dead, 672274793, 0x1234567),
  withPath('add swap', 167, '/tmp/swap', 0),
  call('set the time', 164, 'pack("qq", 1, 1)', 0),
  call('set a clock', 227, 0, 'pack("qq", 1, 1)'),
  call('tune the clock', 159, 'pack("LLx200", 1, 0)'),
  call('name the host', 170, '"owned"', 5),
  call('name its domain', 171, '"owned"', 5),
  call('use all ports', 172, 3),
  call('use some ports', 173, 0, 1024, 1),
  call('account for processes', 163, '"/tmp/acct\\0"'),
  call('change quotas', 179, 0x800007, 0, 0, 0),
  call('move pages between nodes', 256, 0, 8, 'pack("Q", 1)', 'pack("Q", 1)'),
  call('bind memory to a node', 237, 0, 4096, 0, 0, 0, 0),
  call('an executable stack by personality', 135, 0x40_0000),
  call('change the descriptor table', 154, 1, '"\\0" x 16', 16),
  named('call by the numbers of x32', '$r = syscall(0x40000000 + 39) > 0; $! = 38 unless $r'),
];

const files: Escape[] = [
  ...['core_pattern', 'modprobe', 'hostname', 'randomize_va_space', 'yama/ptrace_scope'].map((name) =>
    writes(`set kernel.${name}`, `/proc/sys/kernel/${name}`, '|/tmp/x'),
  ),
  writes('drop the caches of the host', '/proc/sys/vm/drop_caches', '3'),
  writes('forward packets', '/proc/sys/net/ipv4/ip_forward'),
  writes('a key of the console', '/proc/sysrq-trigger', 'b'),
  writes('escape the killer of memory', '/proc/self/oom_score_adj', '-1000'),
  writes('set the helper of devices', '/sys/kernel/uevent_helper', '/tmp/x'),
  writes('a release agent', '/sys/fs/cgroup/memory/release_agent', '/tmp/x'),
  writes('leave its cgroup', '/sys/fs/cgroup/memory/cgroup.procs', '0'),
  writes('leave its cgroup of version 2', '/sys/fs/cgroup/cgroup.procs', '0'),
  writes('raise its limit of memory', '/sys/fs/cgroup/memory/memory.limit_in_bytes', '-1'),
  writes('raise its limit of memory, version 2', '/sys/fs/cgroup/memory.max', 'max'),
  writes('raise its limit of processes', '/sys/fs/cgroup/pids/pids.max', 'max'),
  named('make a cgroup', '$r = mkdir "/sys/fs/cgroup/memory/mine" or mkdir "/sys/fs/cgroup/mine"'),
  writes('write to the root', '/owned'),
  writes('replace a program', '/usr/bin/perl'),
  writes('add a user', '/etc/passwd', 'x:x:0:0::/:/bin/sh'),
  writes('change the hosts', '/etc/hosts', '1.2.3.4 x'),
  named('remove a program', '$r = unlink "/usr/bin/perl"'),
  named('own a program', '$r = chown 0, 0, "/tmp"'),
  named(
    'trust an attribute',
    'open(my $f, ">", "/tmp/attribute"); my ($p, $n, $v) = ("/tmp/attribute", "trusted.x", "1"); $r = syscall(188, $p, $n, $v, 1, 0) == 0',
  ),
  named(
    'give a file capabilities',
    'open(my $f, ">", "/tmp/capable"); my ($p, $n, $v) = ("/tmp/capable", "security.capability", pack("V5", 0x2000000, 0xffffffff, 0, 0xffffffff, 0)); $r = syscall(188, $p, $n, $v, 20, 0) == 0',
  ),
  ...['mem', 'kmsg', 'port', 'kvm', 'fuse', 'vda', 'sda', 'loop0', 'net/tun', 'console', 'nvidia0'].map(
    (name) => opens(`open /dev/${name}`, `/dev/${name}`),
  ),
  named('make a device of a disk', 'my $p = "/tmp/disk"; $r = syscall(133, $p, 0060600, 0xfe00) == 0'),
  named('make a device of memory', 'my $p = "/home/user/memory"; $r = syscall(133, $p, 0020600, 0x101) == 0'),
  named(
    'read the memory of the kernel',
    '$r = open(my $f, "<", "/proc/kcore") && sysread($f, my $b, 64); $! = 13 if $r == 0 && !$!',
  ),
  named(
    'list the keys of the host',
    '$r = open(my $f, "<", "/proc/keys") && sysread($f, my $b, 64) > 0; $! = 13 unless $r',
  ),
  named(
    'list the timers of the host',
    '$r = open(my $f, "<", "/proc/timer_list") && sysread($f, my $b, 64) > 0; $! = 13 unless $r',
  ),
  named(
    'read the firmware',
    'opendir(my $d, "/sys/firmware"); my @f = grep !/^\\./, readdir $d; $r = @f > 0; $! = 13 unless $r',
  ),
  named(
    'find the socket of the engine',
    '$r = 0; for ("/var/run/docker.sock", "/run/docker.sock", "/run/containerd/containerd.sock", "/var/run/warmwind-engine") { $r = 1 if -e } $! = 2 unless $r',
  ),
  named(
    'find a program that sets its user',
    'my @f = grep /\\S/, `find / -xdev -perm /6000 -type f 2>/dev/null`; $r = @f > 0; $! = 2 unless $r',
  ),
  named(
    'gain by a program of its own that sets its user',
    'system("cp /usr/bin/perl /home/user/p && chmod 6777 /home/user/p"); my $u = `/home/user/p -e "print \\$>"`; $r = defined $u && $u eq "0"; $! = 1 unless $r',
  ),
];

const privileges: Escape[] = [
  call('become root', 105, 0),
  call('become a group of root', 106, 0),
  call('join groups', 116, 1, 'pack("L", 0)'),
  call('become another user', 105, 1000),
  named(
    'take capabilities',
    'my ($h, $d) = (pack("Ll", 0x20080522, 0), pack("L6", 0xffffffff, 0xffffffff, 0xffffffff, 0xff, 0xff, 0xff)); $r = syscall(126, $h, $d) == 0',
  ),
  named('raise an ambient capability', '$r = syscall(157, 47, 2, 21, 0, 0) == 0'),
  named('allow new privileges again', '$r = syscall(157, 38, 0, 0, 0, 0) == 0'),
  named(
    'raise its limit of processes by setrlimit',
    'my $l = pack("QQ", 4096, 4096); $r = syscall(160, 6, $l) == 0',
  ),
  named('run in real time', 'my $p = pack("l", 1); $r = syscall(144, 0, 1, $p) == 0'),
  named('run first', '$r = syscall(141, 0, 0, -5) == 0'),
  named('read its disk first', '$r = syscall(251, 1, 0, (1 << 13) | 0) == 0'),
  named('signal PID 1', '$r = kill "KILL", 1'),
  named('stop PID 1', '$r = kill "STOP", 1'),
  named('trace PID 1', '$r = syscall(101, 16, 1, 0, 0) == 0'),
  named('trace its keeper', '$r = syscall(101, 16, $keeper, 0, 0) == 0'),
  named(
    'read the memory of PID 1',
    'my ($b, $l) = ("\\0" x 8); $l = pack("PQ", $b, 8); $r = syscall(310, 1, $l, 1, $l, 1, 0) >= 0',
  ),
  named('take a descriptor of PID 1', 'my $f = syscall(434, 1, 0); $r = syscall(438, $f, 1, 0) >= 0'),
  opens('write to the output of PID 1', '/proc/1/fd/1', '>'),
  opens('read the environment of PID 1', '/proc/1/environ'),
];

const networks: Escape[] = [
  socket('a raw socket', 2, 3, 1),
  socket('a raw socket of version 6', 10, 3, 58),
  socket('a packet socket', 17, 3, 0x300),
  socket('a socket of the kernel’s cryptography', 38, 5),
  socket('a socket to the hypervisor', 40, 1),
  socket('a socket of keys', 15, 3, 2),
  socket('an XDP socket', 44, 3),
  socket('a Bluetooth socket', 31, 3, 1),
  named(
    'follow the audit of the kernel',
    'socket(my $s, 16, 3, 9) or die; $r = bind($s, pack("SSLL", 16, 0, 0, 1))',
  ),
  named('reach the internet', 'socket(my $s, 2, 1, 0); $r = connect($s, pack("SnC4x8", 2, 443, 1, 1, 1, 1))'),
  named(
    'reach the metadata of a cloud',
    'socket(my $s, 2, 1, 0); $r = connect($s, pack("SnC4x8", 2, 80, 169, 254, 169, 254))',
  ),
  named(
    'reach the engine’s network',
    'socket(my $s, 2, 1, 0); $r = connect($s, pack("SnC4x8", 2, 22, 172, 17, 0, 1))',
  ),
  named(
    'reach the internet by version 6',
    'socket(my $s, 10, 1, 0); $r = connect($s, pack("SnNC16N", 10, 443, 0, 0x26, 0x06, 0x47, 0x00, 0x47, 0, (0) x 9, 1, 0))',
  ),
  named(
    'add an interface',
    'socket(my $s, 16, 3, 0) or die; my $m = pack("LSSLL Cx S l L L", 32, 16, 0x605, 1, 0, 0, 0, 0, 0, 0); syswrite($s, $m); sysread($s, my $a, 4096); my $e = unpack("x16 l", $a); $r = $e == 0; $! = -$e',
  ),
  named(
    'connect to the supervisor',
    'socket(my $s, 1, 1, 0); $r = connect($s, pack("Sa*", 1, "/run/rfb/supervisor"))',
  ),
  named(
    'replace the socket of the supervisor',
    'open(my $f, ">", "/run/rfb/mine"); $r = rename "/run/rfb/mine", "/run/rfb/supervisor"; my $e = $!; unlink "/run/rfb/mine"; $! = $e',
  ),
];

/** Fills a file system by 1 MB at a time, up to twice its bound. */
const fills = (name: string, folder: string, megabytes: number): Escape =>
  named(
    name,
    `my $p = "${folder}/filled"; open(my $f, ">", $p) or die; my $n = 0; my $b = "x" x (1 << 20); while ($n < ${2 * megabytes}) { last unless defined syswrite($f, $b) && ++$n } my $e = $!; close $f; unlink $p; $r = $n > ${megabytes}; $! = $e`,
  );

const bounds: Escape[] = [
  fills('exceed its home', '/home/user', 128),
  fills('exceed its temporary files', '/tmp', 64),
  fills('exceed its shared memory', '/dev/shm', 64),
  fills('exceed the volume of the sockets', '/run/rfb', 1),
  named('exceed its memory', 'my $n = 1 << 30; my $x = "x" x $n; $r = length($x) > 0'),
  named(
    'exceed its processes',
    'my ($n, @p) = (0); while ($n < 300) { my $c = fork; last unless defined $c; if (!$c) { sleep 60; exit } push @p, $c; $n++ } my $e = $!; kill "KILL", @p; waitpid $_, 0 for @p; $r = $n >= 256; $! = $e',
  ),
  named(
    'exceed its terminals',
    'my ($n, @f) = (0); while ($n < 100) { open(my $f, "+<", "/dev/ptmx") or last; push @f, $f; $n++ } $r = $n > 30',
  ),
];

/** All that take nothing of the container's memory and processes. */
export const ESCAPES: readonly Escape[] = [
  ...mounts,
  ...namespaces,
  ...kernel,
  ...files,
  ...privileges,
  ...networks,
];

/** Those that take as much as they get, for a container with at least 256 MB. */
export const EXCESSES: readonly Escape[] = bounds;

/** A program that tries each in a process of its own, and prints `done`, the error or the signal that ended it. */
export const program = (escapes: readonly Escape[]): string => `
$| = 1; use Errno; our $keeper = getppid;
sub attempt { my ($i, $try) = @_;
  my $pid = fork; die unless defined $pid;
  if (!$pid) { our $r = 0; $! = 0; eval { alarm 30; $try->(); 1 } or do { print "$i died $@\\n"; exit };
    my $e = 0 + $!; print "$i ", ($r ? "done" : $e), "\\n"; require POSIX; POSIX::_exit(0) }
  waitpid $pid, 0; print "$i signal ", $? & 127, "\\n" if $? & 127;
}
${escapes.map(({ program: text }, i) => `attempt(${i}, sub { ${text} });`).join('\n')}
`;
