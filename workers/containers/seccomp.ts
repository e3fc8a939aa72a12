/**
 * The system calls that a desktop may use, in the form of Docker's `seccomp=` option. All others fail with
 * `EPERM`. The profile leaves out all that reaches beyond the container: resources that all containers of the
 * host share (asynchronous I/O, io_uring, keyrings), interfaces to the kernel itself (bpf, perf_event_open,
 * userfaultfd, modules, clocks, mounts, NUMA), and new namespaces.
 */
const ALLOWED = `
  accept accept4 access alarm arch_prctl bind brk cachestat capget capset chdir chmod chown clock_getres
  clock_gettime clock_nanosleep close close_range connect copy_file_range creat dup dup2 dup3 epoll_create
  epoll_create1 epoll_ctl epoll_pwait epoll_pwait2 epoll_wait eventfd eventfd2 execve execveat exit
  exit_group faccessat faccessat2 fadvise64 fallocate fchdir fchmod fchmodat fchmodat2 fchown fchownat fcntl
  fdatasync fgetxattr file_getattr flistxattr flock fork fremovexattr fsetxattr fstat fstatfs fsync
  ftruncate futex futex_requeue futex_wait futex_waitv futex_wake futimesat get_mempolicy get_robust_list
  getcpu getcwd getdents getdents64 getegid geteuid getgid getgroups getitimer getpeername getpgid getpgrp
  getpid getppid getpriority getrandom getresgid getresuid getrlimit getrusage getsid getsockname getsockopt
  gettid gettimeofday getuid getxattr getxattrat inotify_add_watch inotify_init inotify_init1
  inotify_rm_watch ioctl ioprio_get ioprio_set kcmp kill landlock_add_rule landlock_create_ruleset
  landlock_restrict_self lchown lgetxattr link linkat listen listxattr listxattrat llistxattr lremovexattr
  lseek lsetxattr lstat madvise map_shadow_stack membarrier memfd_create mincore mkdir mkdirat mknod mknodat
  mlock mlock2 mlockall mmap mprotect mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedsend mq_unlink
  mremap mseal msgctl msgget msgrcv msgsnd msync munlock munlockall munmap nanosleep newfstatat open openat
  openat2 pause pidfd_getfd pidfd_open pidfd_send_signal pipe pipe2 pkey_alloc pkey_free pkey_mprotect poll
  ppoll prctl pread64 preadv preadv2 prlimit64 process_madvise process_mrelease process_vm_readv
  process_vm_writev pselect6 ptrace pwrite64 pwritev pwritev2 read readahead readlink readlinkat readv
  recvfrom recvmmsg recvmsg remap_file_pages removexattr removexattrat rename renameat renameat2
  restart_syscall rmdir rseq rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn
  rt_sigsuspend rt_sigtimedwait rt_tgsigqueueinfo sched_get_priority_max sched_get_priority_min
  sched_getaffinity sched_getattr sched_getparam sched_getscheduler sched_rr_get_interval sched_setaffinity
  sched_setattr sched_setparam sched_setscheduler sched_yield seccomp select semctl semget semop semtimedop
  sendfile sendmmsg sendmsg sendto set_robust_list set_tid_address setfsgid setfsuid setgid setgroups
  setitimer setpgid setpriority setregid setresgid setresuid setreuid setrlimit setsid setsockopt setuid
  setxattr setxattrat shmat shmctl shmdt shmget shutdown sigaltstack signalfd signalfd4 socketpair splice
  stat statfs statx symlink symlinkat sync_file_range sysinfo tee tgkill time timer_create timer_delete
  timer_getoverrun timer_gettime timer_settime timerfd_create timerfd_gettime timerfd_settime times tkill
  truncate umask uname unlink unlinkat utime utimensat utimes vfork vmsplice wait4 waitid write writev
`;

/** Flags of `clone` that make namespaces: user, PID, network, IPC, UTS, cgroup, mount. */
const NAMESPACES = 0x7e02_0000;
/** Unix, IPv4, IPv6 and netlink. Packet sockets, vsock and the kernel's cryptography are refused. */
const SOCKET_FAMILIES = [1, 2, 10, 16];
/**
 * Plain Linux, with 32-bit `uname`, each of these without address randomisation, and the query of the present
 * one.
 */
const PERSONALITIES = [0x0, 0x8, 0x2_0000, 0x2_0008, 0xffff_ffff];
const ENOSYS = 38;

/** Programs probe for these and fall back when the kernel answers `ENOSYS`. */
const UNKNOWN = `
  clone3 io_setup io_submit io_cancel io_destroy io_getevents io_pgetevents
  io_uring_setup io_uring_enter io_uring_register memfd_secret
`;

const names = (text: string): string[] => text.trim().split(/\s+/);
const allowed = (name: string, value: number) => ({
  names: [name],
  action: 'SCMP_ACT_ALLOW',
  args: [{ index: 0, value, op: 'SCMP_CMP_EQ' }],
});

const PROFILE = {
  defaultAction: 'SCMP_ACT_ERRNO',
  archMap: [
    { architecture: 'SCMP_ARCH_X86_64', subArchitectures: [] },
    { architecture: 'SCMP_ARCH_AARCH64', subArchitectures: [] },
  ],
  syscalls: [
    { names: names(ALLOWED), action: 'SCMP_ACT_ALLOW' },
    {
      names: ['clone'],
      action: 'SCMP_ACT_ALLOW',
      args: [{ index: 0, value: NAMESPACES, valueTwo: 0, op: 'SCMP_CMP_MASKED_EQ' }],
    },
    ...SOCKET_FAMILIES.map((family) => allowed('socket', family)),
    ...PERSONALITIES.map((personality) => allowed('personality', personality)),
    { names: names(UNKNOWN), action: 'SCMP_ACT_ERRNO', errnoRet: ENOSYS },
    // They would flush the disks of the complete host; a desktop has no data on a disk. Answered with
    // success.
    { names: ['sync', 'syncfs'], action: 'SCMP_ACT_ERRNO', errnoRet: 0 },
  ],
};

/** The profile as an option of the container's `SecurityOpt`. */
export const SECCOMP = `seccomp=${JSON.stringify(PROFILE)}`;
