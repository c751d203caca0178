//! The system calls that programs in a sandbox may use. `docs/SANDBOX.md` lists them; a test
//! compares.
//!
//! The list is what ordinary programs need: files, memory, processes and threads, time, sockets,
//! waiting. Not on it is what reaches beyond a program's own business (mounts, namespaces, other
//! processes' memory, keys, kernel modules, clocks, performance counters) and what has been the
//! way into the kernel again and again (`bpf`, `io_uring`, `userfaultfd`).

/// A system call with what is asked of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Call {
    pub(super) number: libc::c_long,
    /// For the documentation.
    #[cfg_attr(not(test), expect(dead_code, reason = "the documentation's test reads it"))]
    pub(super) name: &'static str,
    pub(super) rule: Rule,
}

/// What is asked of a call's arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    Allowed,
    /// Answered as by an old kernel: callers have another way.
    Missing,
    /// The first argument names no namespace to make.
    NoNamespaces,
    /// The first argument is one of these.
    OneOf(&'static [u32]),
    /// The second argument is none of these.
    SecondIsNot(&'static [u32]),
}

/// Local, IPv4, IPv6, and the kernel's news about addresses and routes. Not `AF_VSOCK`, which
/// reaches the host whatever the network namespace.
const FAMILIES: &[u32] = &[
    libc::AF_UNIX.cast_unsigned(),
    libc::AF_INET.cast_unsigned(),
    libc::AF_INET6.cast_unsigned(),
    libc::AF_NETLINK.cast_unsigned(),
];

/// Linux, and the answer which one it is.
const PERSONALITIES: &[u32] = &[0, 0x0002_0000, 0xFFFF_FFFF];

/// Typing into somebody's terminal.
const TERMINAL_INPUT: &[u32] = &[libc::TIOCSTI as u32, libc::TIOCLINUX as u32];

macro_rules! calls {
    ($($name:ident, $number:expr $(, $rule:expr)?;)*) => {
        &[$(Call { number: $number, name: stringify!($name), rule: rule!($($rule)?) }),*]
    };
}
macro_rules! rule {
    () => {
        Rule::Allowed
    };
    ($rule:expr) => {
        $rule
    };
}

/// The calls, in the order of their names.
#[rustfmt::skip]
pub(super) const LIST: &[&[Call]] = &[ALL_MACHINES, THIS_MACHINE];

/// Those of every machine.
#[rustfmt::skip]
const ALL_MACHINES: &[Call] = calls![
    accept, libc::SYS_accept;
    accept4, libc::SYS_accept4;
    bind, libc::SYS_bind;
    brk, libc::SYS_brk;
    capget, libc::SYS_capget;
    capset, libc::SYS_capset;
    chdir, libc::SYS_chdir;
    clock_getres, libc::SYS_clock_getres;
    clock_gettime, libc::SYS_clock_gettime;
    clock_nanosleep, libc::SYS_clock_nanosleep;
    clone, libc::SYS_clone, Rule::NoNamespaces;
    clone3, libc::SYS_clone3, Rule::Missing;
    close, libc::SYS_close;
    close_range, libc::SYS_close_range;
    connect, libc::SYS_connect;
    copy_file_range, libc::SYS_copy_file_range;
    dup, libc::SYS_dup;
    dup3, libc::SYS_dup3;
    epoll_create1, libc::SYS_epoll_create1;
    epoll_ctl, libc::SYS_epoll_ctl;
    epoll_pwait, libc::SYS_epoll_pwait;
    epoll_pwait2, libc::SYS_epoll_pwait2;
    eventfd2, libc::SYS_eventfd2;
    execve, libc::SYS_execve;
    execveat, libc::SYS_execveat;
    exit, libc::SYS_exit;
    exit_group, libc::SYS_exit_group;
    faccessat, libc::SYS_faccessat;
    faccessat2, libc::SYS_faccessat2;
    fadvise64, libc::SYS_fadvise64;
    fallocate, libc::SYS_fallocate;
    fchdir, libc::SYS_fchdir;
    fchmod, libc::SYS_fchmod;
    fchmodat, libc::SYS_fchmodat;
    fchown, libc::SYS_fchown;
    fchownat, libc::SYS_fchownat;
    fcntl, libc::SYS_fcntl;
    fdatasync, libc::SYS_fdatasync;
    fgetxattr, libc::SYS_fgetxattr;
    flistxattr, libc::SYS_flistxattr;
    flock, libc::SYS_flock;
    fremovexattr, libc::SYS_fremovexattr;
    fsetxattr, libc::SYS_fsetxattr;
    fstat, libc::SYS_fstat;
    fstatfs, libc::SYS_fstatfs;
    fsync, libc::SYS_fsync;
    ftruncate, libc::SYS_ftruncate;
    futex, libc::SYS_futex;
    futex_waitv, libc::SYS_futex_waitv;
    get_mempolicy, libc::SYS_get_mempolicy;
    get_robust_list, libc::SYS_get_robust_list;
    getcpu, libc::SYS_getcpu;
    getcwd, libc::SYS_getcwd;
    getdents64, libc::SYS_getdents64;
    getegid, libc::SYS_getegid;
    geteuid, libc::SYS_geteuid;
    getgid, libc::SYS_getgid;
    getgroups, libc::SYS_getgroups;
    getitimer, libc::SYS_getitimer;
    getpeername, libc::SYS_getpeername;
    getpgid, libc::SYS_getpgid;
    getpid, libc::SYS_getpid;
    getppid, libc::SYS_getppid;
    getpriority, libc::SYS_getpriority;
    getrandom, libc::SYS_getrandom;
    getresgid, libc::SYS_getresgid;
    getresuid, libc::SYS_getresuid;
    getrlimit, libc::SYS_getrlimit;
    getrusage, libc::SYS_getrusage;
    getsid, libc::SYS_getsid;
    getsockname, libc::SYS_getsockname;
    getsockopt, libc::SYS_getsockopt;
    gettid, libc::SYS_gettid;
    gettimeofday, libc::SYS_gettimeofday;
    getuid, libc::SYS_getuid;
    getxattr, libc::SYS_getxattr;
    inotify_add_watch, libc::SYS_inotify_add_watch;
    inotify_init1, libc::SYS_inotify_init1;
    inotify_rm_watch, libc::SYS_inotify_rm_watch;
    io_uring_enter, libc::SYS_io_uring_enter, Rule::Missing;
    io_uring_register, libc::SYS_io_uring_register, Rule::Missing;
    io_uring_setup, libc::SYS_io_uring_setup, Rule::Missing;
    ioctl, libc::SYS_ioctl, Rule::SecondIsNot(TERMINAL_INPUT);
    kill, libc::SYS_kill;
    landlock_add_rule, libc::SYS_landlock_add_rule;
    landlock_create_ruleset, libc::SYS_landlock_create_ruleset;
    landlock_restrict_self, libc::SYS_landlock_restrict_self;
    lgetxattr, libc::SYS_lgetxattr;
    linkat, libc::SYS_linkat;
    listen, libc::SYS_listen;
    listxattr, libc::SYS_listxattr;
    llistxattr, libc::SYS_llistxattr;
    lremovexattr, libc::SYS_lremovexattr;
    lseek, libc::SYS_lseek;
    lsetxattr, libc::SYS_lsetxattr;
    madvise, libc::SYS_madvise;
    membarrier, libc::SYS_membarrier;
    memfd_create, libc::SYS_memfd_create;
    mincore, libc::SYS_mincore;
    mkdirat, libc::SYS_mkdirat;
    mknodat, libc::SYS_mknodat;
    mlock, libc::SYS_mlock;
    mlock2, libc::SYS_mlock2;
    mlockall, libc::SYS_mlockall;
    mmap, libc::SYS_mmap;
    mprotect, libc::SYS_mprotect;
    mq_getsetattr, libc::SYS_mq_getsetattr;
    mq_notify, libc::SYS_mq_notify;
    mq_open, libc::SYS_mq_open;
    mq_timedreceive, libc::SYS_mq_timedreceive;
    mq_timedsend, libc::SYS_mq_timedsend;
    mq_unlink, libc::SYS_mq_unlink;
    mremap, libc::SYS_mremap;
    msgctl, libc::SYS_msgctl;
    msgget, libc::SYS_msgget;
    msgrcv, libc::SYS_msgrcv;
    msgsnd, libc::SYS_msgsnd;
    msync, libc::SYS_msync;
    munlock, libc::SYS_munlock;
    munlockall, libc::SYS_munlockall;
    munmap, libc::SYS_munmap;
    nanosleep, libc::SYS_nanosleep;
    newfstatat, libc::SYS_newfstatat;
    openat, libc::SYS_openat;
    openat2, libc::SYS_openat2;
    personality, libc::SYS_personality, Rule::OneOf(PERSONALITIES);
    pidfd_open, libc::SYS_pidfd_open;
    pidfd_send_signal, libc::SYS_pidfd_send_signal;
    pipe2, libc::SYS_pipe2;
    pkey_alloc, libc::SYS_pkey_alloc;
    pkey_free, libc::SYS_pkey_free;
    pkey_mprotect, libc::SYS_pkey_mprotect;
    ppoll, libc::SYS_ppoll;
    prctl, libc::SYS_prctl;
    pread64, libc::SYS_pread64;
    preadv, libc::SYS_preadv;
    preadv2, libc::SYS_preadv2;
    prlimit64, libc::SYS_prlimit64;
    pselect6, libc::SYS_pselect6;
    pwrite64, libc::SYS_pwrite64;
    pwritev, libc::SYS_pwritev;
    pwritev2, libc::SYS_pwritev2;
    read, libc::SYS_read;
    readahead, libc::SYS_readahead;
    readlinkat, libc::SYS_readlinkat;
    readv, libc::SYS_readv;
    recvfrom, libc::SYS_recvfrom;
    recvmmsg, libc::SYS_recvmmsg;
    recvmsg, libc::SYS_recvmsg;
    removexattr, libc::SYS_removexattr;
    renameat, libc::SYS_renameat;
    renameat2, libc::SYS_renameat2;
    restart_syscall, libc::SYS_restart_syscall;
    rseq, libc::SYS_rseq;
    rt_sigaction, libc::SYS_rt_sigaction;
    rt_sigpending, libc::SYS_rt_sigpending;
    rt_sigprocmask, libc::SYS_rt_sigprocmask;
    rt_sigqueueinfo, libc::SYS_rt_sigqueueinfo;
    rt_sigreturn, libc::SYS_rt_sigreturn;
    rt_sigsuspend, libc::SYS_rt_sigsuspend;
    rt_sigtimedwait, libc::SYS_rt_sigtimedwait;
    rt_tgsigqueueinfo, libc::SYS_rt_tgsigqueueinfo;
    sched_get_priority_max, libc::SYS_sched_get_priority_max;
    sched_get_priority_min, libc::SYS_sched_get_priority_min;
    sched_getaffinity, libc::SYS_sched_getaffinity;
    sched_getattr, libc::SYS_sched_getattr;
    sched_getparam, libc::SYS_sched_getparam;
    sched_getscheduler, libc::SYS_sched_getscheduler;
    sched_rr_get_interval, libc::SYS_sched_rr_get_interval;
    sched_setaffinity, libc::SYS_sched_setaffinity;
    sched_setattr, libc::SYS_sched_setattr;
    sched_setparam, libc::SYS_sched_setparam;
    sched_setscheduler, libc::SYS_sched_setscheduler;
    sched_yield, libc::SYS_sched_yield;
    seccomp, libc::SYS_seccomp;
    semctl, libc::SYS_semctl;
    semget, libc::SYS_semget;
    semop, libc::SYS_semop;
    semtimedop, libc::SYS_semtimedop;
    sendfile, libc::SYS_sendfile;
    sendmmsg, libc::SYS_sendmmsg;
    sendmsg, libc::SYS_sendmsg;
    sendto, libc::SYS_sendto;
    set_robust_list, libc::SYS_set_robust_list;
    set_tid_address, libc::SYS_set_tid_address;
    setfsgid, libc::SYS_setfsgid;
    setfsuid, libc::SYS_setfsuid;
    setgid, libc::SYS_setgid;
    setgroups, libc::SYS_setgroups;
    setitimer, libc::SYS_setitimer;
    setpgid, libc::SYS_setpgid;
    setpriority, libc::SYS_setpriority;
    setregid, libc::SYS_setregid;
    setresgid, libc::SYS_setresgid;
    setresuid, libc::SYS_setresuid;
    setreuid, libc::SYS_setreuid;
    setrlimit, libc::SYS_setrlimit;
    setsid, libc::SYS_setsid;
    setsockopt, libc::SYS_setsockopt;
    setuid, libc::SYS_setuid;
    setxattr, libc::SYS_setxattr;
    shmat, libc::SYS_shmat;
    shmctl, libc::SYS_shmctl;
    shmdt, libc::SYS_shmdt;
    shmget, libc::SYS_shmget;
    shutdown, libc::SYS_shutdown;
    sigaltstack, libc::SYS_sigaltstack;
    signalfd4, libc::SYS_signalfd4;
    socket, libc::SYS_socket, Rule::OneOf(FAMILIES);
    socketpair, libc::SYS_socketpair;
    splice, libc::SYS_splice;
    statfs, libc::SYS_statfs;
    statx, libc::SYS_statx;
    symlinkat, libc::SYS_symlinkat;
    sync_file_range, libc::SYS_sync_file_range;
    sysinfo, libc::SYS_sysinfo;
    tee, libc::SYS_tee;
    tgkill, libc::SYS_tgkill;
    timer_create, libc::SYS_timer_create;
    timer_delete, libc::SYS_timer_delete;
    timer_getoverrun, libc::SYS_timer_getoverrun;
    timer_gettime, libc::SYS_timer_gettime;
    timer_settime, libc::SYS_timer_settime;
    timerfd_create, libc::SYS_timerfd_create;
    timerfd_gettime, libc::SYS_timerfd_gettime;
    timerfd_settime, libc::SYS_timerfd_settime;
    times, libc::SYS_times;
    tkill, libc::SYS_tkill;
    truncate, libc::SYS_truncate;
    umask, libc::SYS_umask;
    uname, libc::SYS_uname;
    unlinkat, libc::SYS_unlinkat;
    utimensat, libc::SYS_utimensat;
    vmsplice, libc::SYS_vmsplice;
    wait4, libc::SYS_wait4;
    waitid, libc::SYS_waitid;
    write, libc::SYS_write;
    writev, libc::SYS_writev;
];

/// Those that only the first of them still have, because the C library of its day used them.
#[cfg(target_arch = "x86_64")]
#[rustfmt::skip]
const THIS_MACHINE: &[Call] = calls![
    access, libc::SYS_access;
    alarm, libc::SYS_alarm;
    arch_prctl, libc::SYS_arch_prctl;
    chmod, libc::SYS_chmod;
    chown, libc::SYS_chown;
    creat, libc::SYS_creat;
    dup2, libc::SYS_dup2;
    epoll_create, libc::SYS_epoll_create;
    epoll_wait, libc::SYS_epoll_wait;
    eventfd, libc::SYS_eventfd;
    fork, libc::SYS_fork;
    futimesat, libc::SYS_futimesat;
    getdents, libc::SYS_getdents;
    getpgrp, libc::SYS_getpgrp;
    inotify_init, libc::SYS_inotify_init;
    lchown, libc::SYS_lchown;
    link, libc::SYS_link;
    lstat, libc::SYS_lstat;
    mkdir, libc::SYS_mkdir;
    mknod, libc::SYS_mknod;
    open, libc::SYS_open;
    pause, libc::SYS_pause;
    pipe, libc::SYS_pipe;
    poll, libc::SYS_poll;
    readlink, libc::SYS_readlink;
    rename, libc::SYS_rename;
    rmdir, libc::SYS_rmdir;
    select, libc::SYS_select;
    signalfd, libc::SYS_signalfd;
    stat, libc::SYS_stat;
    symlink, libc::SYS_symlink;
    time, libc::SYS_time;
    unlink, libc::SYS_unlink;
    utime, libc::SYS_utime;
    utimes, libc::SYS_utimes;
    vfork, libc::SYS_vfork;
];

/// Nothing else.
#[cfg(not(target_arch = "x86_64"))]
const THIS_MACHINE: &[Call] = &[];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_page_lists_every_call() {
        let page = include_str!("../../../../docs/SANDBOX.md");
        let (_, rest) = page.split_once("<!-- system calls:").unwrap();
        let (listed, _) = rest.split_once("<!-- end of system calls -->").unwrap();
        let (_, listed) = listed.split_once("-->").unwrap();
        let listed: BTreeSet<&str> = listed.split('`').skip(1).step_by(2).collect();
        let calls = LIST.concat();
        let refused = |call: &&Call| call.rule == Rule::Missing;
        let known: BTreeSet<&str> = calls.iter().map(|call| call.name).collect();
        if cfg!(target_arch = "x86_64") {
            assert_eq!(listed, known);
        } else {
            assert!(known.is_subset(&listed));
        }
        assert_eq!(calls.iter().filter(refused).count(), 4);
    }

    #[test]
    fn no_call_is_listed_twice() {
        let calls = LIST.concat();
        let numbers: BTreeSet<_> = calls.iter().map(|call| call.number).collect();
        assert_eq!(numbers.len(), calls.len());
    }
}
