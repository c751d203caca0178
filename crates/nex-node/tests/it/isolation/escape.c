// A workload that means harm. It tries to get out of its sandbox, to look out of it, and to take
// more than its share, and prints one line for each try: "held NAME" or "WORKED NAME". The test
// that deploys it has prepared what a bad sandbox would let it find; the paths and numbers come in
// its environment.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/if.h>
#include <mqueue.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <sys/timex.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int tried, worked;

static const char *given(const char *name) {
    const char *value = getenv(name);
    return value ? value : "/nothing/was/given";
}

// Each try is a function that answers 1 if it got what it wanted, run in a process of its own.
#define TRY(name, ...)                                                                             \
    static int try_##name(void) { __VA_ARGS__ }
#define RUN(name) run(#name, try_##name)

static void run(const char *name, int (*attempt)(void)) {
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        alarm(20);
        _exit(attempt() ? 42 : 0);
    }
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) < 0) {
        printf("WORKED %s (it cannot be told: %s)\n", name, strerror(errno));
        worked++;
        return;
    }
    tried++;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 42) {
        worked++;
        printf("WORKED %s\n", name);
    } else {
        printf("held %s\n", name);
    }
}

static int can_read(const char *path) {
    char byte;
    int file = open(path, O_RDONLY | O_CLOEXEC);
    return file >= 0 && read(file, &byte, 1) == 1;
}

static int can_write(const char *path) { return open(path, O_WRONLY | O_CLOEXEC) >= 0; }

static int can_make(const char *path) { return open(path, O_WRONLY | O_CREAT | O_EXCL, 0600) >= 0; }

static int can_list(const char *path) { return opendir(path) != NULL; }

static int connects(const char *address, int port) {
    // The own loopback interface answers at once; what is not there might take its time.
    int patient = strncmp(address, "127.", 4) == 0;
    int s = socket(AF_INET, SOCK_STREAM | (patient ? 0 : SOCK_NONBLOCK), 0);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    inet_pton(AF_INET, address, &to.sin_addr);
    if (connect(s, (struct sockaddr *)&to, sizeof to) == 0) return 1;
    // Under way: there is a network that takes the packet.
    return errno == EINPROGRESS;
}

static int connects_to_path(const char *path, int abstract) {
    int s = socket(AF_UNIX, SOCK_STREAM, 0);
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    size_t length = strlen(path);
    if (length + 1 >= sizeof to.sun_path) return 0;
    memcpy(to.sun_path + abstract, path, length);
    socklen_t size = abstract ? offsetof(struct sockaddr_un, sun_path) + 1 + length : sizeof to;
    return connect(s, (struct sockaddr *)&to, size) == 0;
}

// Files of the host.
TRY(read_passwords, return can_read("/etc/shadow");)
TRY(read_a_host_file, return can_read(given("SECRET_FILE"));)
TRY(read_the_nodes_key, char p[512]; snprintf(p, sizeof p, "%s/node.nk", given("STATE")); return can_read(p);)
TRY(list_the_nodes_folder, return can_list(given("STATE"));)
TRY(list_artifacts, char p[512]; snprintf(p, sizeof p, "%s/artifacts/sha256", given("STATE")); return can_list(p);)
TRY(list_sys, return can_list("/sys");)
TRY(list_home, return can_list("/root") || can_list("/home");)
TRY(write_the_root, return can_make("/made") || can_make("/etc/made") || can_make("/usr/lib/made");)
TRY(make_root_writable, return mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND, NULL) == 0;)
TRY(write_own_program, return can_write("/proc/self/exe");)
TRY(climb_out, for (int i = 0; i < 64; i++) if (chdir("..")) return 0; return can_read("etc/shadow") || can_read("root/.bashrc");)
TRY(climb_out_with_chroot, mkdir("/tmp/jail", 0700); int here = open("/", O_RDONLY); if (chroot("/tmp/jail")) return 0; fchdir(here); for (int i = 0; i < 64; i++) chdir(".."); return 1;)
TRY(climb_out_through_init, return can_list("/proc/1/root") || can_list("/proc/1/cwd");)
TRY(read_by_file_handle, struct { unsigned bytes; int type; unsigned char f[8]; } h = {8, 1, {2}}; return syscall(SYS_open_by_handle_at, open("/tmp", O_RDONLY), &h, O_RDONLY) >= 0;)
TRY(mount_memory, return mount("x", "/tmp", "tmpfs", 0, NULL) == 0;)
TRY(mount_proc, return mount("x", "/tmp", "proc", 0, NULL) == 0;)
TRY(mount_with_new_calls, return syscall(SYS_fsopen, "tmpfs", 0) >= 0 || syscall(SYS_open_tree, -1, "/", 1) >= 0;)
TRY(unmount_proc, return umount2("/proc", MNT_DETACH) == 0;)
TRY(pivot, return syscall(SYS_pivot_root, "/tmp", "/tmp") == 0;)
TRY(watch_everything, return syscall(SYS_fanotify_init, 0, 0) >= 0;)

// Other processes.
TRY(see_other_processes, DIR *d = opendir("/proc"); struct dirent *e; int others = 0; while (d && (e = readdir(d))) { int pid = atoi(e->d_name); char p[64]; char line[512] = {0}; if (!pid || pid == getpid() || pid == getppid()) continue; snprintf(p, sizeof p, "/proc/%d/cmdline", pid); int f = open(p, O_RDONLY); if (f >= 0 && read(f, line, sizeof line - 1) > 0) others++; } return others > 0;)
TRY(read_init_environment, return can_read("/proc/1/environ");)
TRY(read_init_memory, return open("/proc/1/mem", O_RDONLY) >= 0;)
TRY(list_init_descriptors, return can_list("/proc/1/fd");)
TRY(attach_to_init, return ptrace(PTRACE_ATTACH, 1, 0, 0) == 0 || ptrace(PTRACE_SEIZE, 1, 0, 0) == 0;)
TRY(copy_init_memory, char to[16]; struct iovec l = {to, 16}, r = {(void *)0x400000, 16}; return syscall(SYS_process_vm_readv, 1, &l, 1, &r, 1, 0) > 0;)
TRY(take_init_descriptor, int p = syscall(SYS_pidfd_open, 1, 0); return p >= 0 && syscall(SYS_pidfd_getfd, p, 0, 0) >= 0;)
TRY(signal_the_node, return kill(atoi(given("NODE_PID")), 0) == 0;)
TRY(end_init, kill(1, SIGKILL); kill(1, SIGTERM); usleep(50000); return kill(1, 0) != 0 && errno == ESRCH;)
TRY(keep_a_descriptor, DIR *d = opendir("/proc/self/fd"); struct dirent *e; int extra = 0; while (d && (e = readdir(d))) { int fd = atoi(e->d_name); if (fd > 2 && fd != dirfd(d)) extra++; } return extra > 0;)
TRY(find_the_agents_socket, return connects_to_path(given("BUS"), 0);)
TRY(find_an_abstract_socket, return connects_to_path(given("ABSTRACT"), 1);)
TRY(find_shared_memory, return shmget(atoi(given("SHM_KEY")), 1, 0) >= 0;)
TRY(find_a_message_queue, return mq_open(given("QUEUE"), O_RDONLY) >= 0;)

// The network.
TRY(reach_host_loopback, return connects("127.0.0.1", atoi(given("PORT")));)
TRY(reach_metadata, return connects("169.254.169.254", 80);)
TRY(reach_a_network, return connects("192.0.2.1", 9);)
TRY(send_a_datagram, struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(9)}; inet_pton(AF_INET, "192.0.2.1", &to.sin_addr); return sendto(socket(AF_INET, SOCK_DGRAM, 0), "x", 1, 0, (struct sockaddr *)&to, sizeof to) == 1;)
TRY(raw_socket, return socket(AF_INET, SOCK_RAW, IPPROTO_ICMP) >= 0 || socket(AF_INET, SOCK_RAW, IPPROTO_RAW) >= 0;)
TRY(packet_socket, return socket(AF_PACKET, SOCK_RAW, htons(3)) >= 0;)
TRY(socket_to_the_hypervisor, return socket(40 /* AF_VSOCK */, SOCK_STREAM, 0) >= 0;)
TRY(kernel_crypto_socket, return socket(38 /* AF_ALG */, SOCK_SEQPACKET, 0) >= 0;)
TRY(set_an_interface, struct ifreq r = {0}; strcpy(r.ifr_name, "lo"); return ioctl(socket(AF_INET, SOCK_DGRAM, 0), SIOCSIFFLAGS, &r) == 0;)

// Rights.
TRY(become_root, return setuid(0) == 0 || setresuid(0, 0, 0) == 0 || setgid(0) == 0;)
TRY(join_groups, gid_t g = 0; return setgroups(1, &g) == 0;)
TRY(raise_capabilities, unsigned h[2] = {0x20080522, 0}, d[6] = {~0u, ~0u, 0, ~0u, ~0u, 0}; return syscall(SYS_capset, h, d) == 0;)
TRY(raise_ambient_capability, return prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, 21, 0, 0) == 0;)
TRY(have_a_capability, for (int c = 0; c < 40; c++) if (prctl(PR_CAPBSET_READ, c, 0, 0, 0) == 1) return 1; return 0;)
TRY(gain_new_privileges, return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1;)
TRY(new_user_namespace, return unshare(CLONE_NEWUSER) == 0;)
TRY(new_namespace_by_clone, long p = syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0); if (p == 0) _exit(0); return p > 0;)
TRY(new_namespace_by_clone3, unsigned long long a[8] = {CLONE_NEWUSER, 0, 0, 0, SIGCHLD}; long p = syscall(SYS_clone3, a, sizeof a); if (p == 0) _exit(0); return p > 0;)
TRY(enter_inits_namespace, int f = open("/proc/1/ns/mnt", O_RDONLY); return f >= 0 && setns(f, 0) == 0;)
TRY(switch_filters_off, return prctl(PR_SET_SECCOMP, 0, 0, 0, 0) == 0;)

// The kernel.
TRY(keyring, return syscall(SYS_keyctl, 0, -3, 1) >= 0 || syscall(SYS_add_key, "user", "x", "y", 1, -3) >= 0;)
TRY(bpf_program, char a[128] = {0}; return syscall(SYS_bpf, 0, a, sizeof a) >= 0 || errno != EPERM;)
TRY(performance_counters, char a[128] = {0}; return syscall(SYS_perf_event_open, a, 0, -1, -1, 0) >= 0;)
TRY(io_uring, char a[256] = {0}; return syscall(SYS_io_uring_setup, 1, a) >= 0;)
TRY(page_fault_handler, return syscall(SYS_userfaultfd, 1) >= 0;)
TRY(load_a_module, return syscall(SYS_init_module, "x", 1, "") == 0 || errno != EPERM;)
TRY(load_a_kernel, return syscall(SYS_kexec_load, 0, 0, 0, 0) == 0 || errno != EPERM;)
TRY(kernel_log, char b[64]; return syscall(SYS_syslog, 3, b, sizeof b) >= 0;)
TRY(kernel_settings, return can_write("/proc/sys/kernel/core_pattern") || can_write("/proc/sys/kernel/hostname") || can_write("/proc/sys/vm/drop_caches");)
TRY(kernel_keys, return can_write("/proc/sysrq-trigger");)
TRY(kernel_memory, return can_read("/proc/kcore") || can_read("/dev/mem") || can_read("/proc/kallsyms");)
TRY(set_the_clock, struct timespec t = {1, 0}; return clock_settime(CLOCK_REALTIME, &t) == 0;)
TRY(bend_the_clock, struct timex t = {.modes = ADJ_TICK, .tick = 10000}; return adjtimex(&t) >= 0;)
TRY(host_name, return sethostname("x", 1) == 0;)
TRY(reboot_it, return syscall(SYS_reboot, 0xfee1dead, 672274793, 0x89abcdef, 0) == 0;)
TRY(swap, return syscall(SYS_swapon, "/tmp/x", 0) == 0 || errno != EPERM;)
TRY(accounting, return syscall(SYS_acct, "/tmp/x") == 0 || errno != EPERM;)
TRY(io_ports, return syscall(SYS_iopl, 3) == 0 || syscall(SYS_ioperm, 0x80, 1, 1) == 0;)

// Devices and cgroups.
TRY(make_a_disk, return mknod("/tmp/disk", S_IFBLK | 0600, makedev(254, 0)) == 0;)
TRY(make_kernel_memory, return mknod("/tmp/mem", S_IFCHR | 0600, makedev(1, 1)) == 0;)
TRY(open_devices, return can_read("/dev/kmsg") || can_read("/dev/vda") || can_read("/dev/sda") || open("/dev/kvm", O_RDWR) >= 0 || open("/dev/tty", O_RDWR) >= 0;)
TRY(mount_cgroups, return mount("x", "/tmp", "cgroup2", 0, NULL) == 0 || mount("x", "/tmp", "cgroup", 0, "memory") == 0;)
TRY(write_cgroups, return can_write("/sys/fs/cgroup/cgroup.procs") || can_write("/sys/fs/cgroup/memory/tasks");)
TRY(type_into_a_terminal, char c = 'x'; for (int i = 0; i < 3; i++) if (ioctl(i, TIOCSTI, &c) == 0) return 1; return 0;)

// More than its share.
TRY(raise_priority, return setpriority(PRIO_PROCESS, 0, -10) == 0;)
TRY(real_time, struct sched_param p = {1}; return sched_setscheduler(0, SCHED_FIFO, &p) == 0;)
TRY(lock_memory, void *m = mmap(0, 64 << 20, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); return mlock(m, 64 << 20) == 0;)
TRY(raise_limits, struct rlimit r = {1 << 20, 1 << 20}; return setrlimit(RLIMIT_NOFILE, &r) == 0 || setrlimit(RLIMIT_CORE, &r) == 0 || setrlimit(RLIMIT_NPROC, &r) == 0;)
TRY(fork_without_end, int n = 0; for (; n < 3000; n++) { pid_t p = fork(); if (p == 0) { pause(); _exit(0); } if (p < 0) break; } return n >= 3000;)
TRY(open_without_end, int n = 0; for (; n < 100000; n++) if (open("/dev/null", O_RDONLY) < 0) break; return n >= 100000;)
TRY(fill_tmp, static char block[1 << 20]; int f = open("/tmp/fill", O_WRONLY | O_CREAT, 0600); long n = 0; for (; n < 2048; n++) if (write(f, block, sizeof block) <= 0) break; unlink("/tmp/fill"); return n >= 2048;)
TRY(make_endless_files, char p[64]; long n = 0; for (; n < 1000000; n++) { snprintf(p, sizeof p, "/work/%ld", n); if (!can_make(p)) break; } return n >= 1000000;)
TRY(dump_core, pid_t p = fork(); if (p == 0) abort(); int s; waitpid(p, &s, 0); return WCOREDUMP(s);)

int main(void) {
    RUN(read_passwords); RUN(read_a_host_file); RUN(read_the_nodes_key); RUN(list_the_nodes_folder);
    RUN(list_artifacts); RUN(list_sys); RUN(list_home); RUN(write_the_root); RUN(make_root_writable);
    RUN(write_own_program); RUN(climb_out); RUN(climb_out_with_chroot); RUN(climb_out_through_init);
    RUN(read_by_file_handle); RUN(mount_memory); RUN(mount_proc); RUN(mount_with_new_calls);
    RUN(unmount_proc); RUN(pivot); RUN(watch_everything);
    RUN(see_other_processes); RUN(read_init_environment); RUN(read_init_memory);
    RUN(list_init_descriptors); RUN(attach_to_init); RUN(copy_init_memory); RUN(take_init_descriptor);
    RUN(signal_the_node); RUN(end_init); RUN(keep_a_descriptor); RUN(find_the_agents_socket);
    RUN(find_an_abstract_socket); RUN(find_shared_memory); RUN(find_a_message_queue);
    RUN(reach_host_loopback); RUN(reach_metadata); RUN(reach_a_network); RUN(send_a_datagram);
    RUN(raw_socket); RUN(packet_socket); RUN(socket_to_the_hypervisor); RUN(kernel_crypto_socket);
    RUN(set_an_interface);
    RUN(become_root); RUN(join_groups); RUN(raise_capabilities); RUN(raise_ambient_capability);
    RUN(have_a_capability); RUN(gain_new_privileges); RUN(new_user_namespace);
    RUN(new_namespace_by_clone); RUN(new_namespace_by_clone3); RUN(enter_inits_namespace);
    RUN(switch_filters_off);
    RUN(keyring); RUN(bpf_program); RUN(performance_counters); RUN(io_uring); RUN(page_fault_handler);
    RUN(load_a_module); RUN(load_a_kernel); RUN(kernel_log); RUN(kernel_settings); RUN(kernel_keys);
    RUN(kernel_memory); RUN(set_the_clock); RUN(bend_the_clock); RUN(host_name); RUN(reboot_it);
    RUN(swap); RUN(accounting); RUN(io_ports);
    RUN(make_a_disk); RUN(make_kernel_memory); RUN(open_devices); RUN(mount_cgroups);
    RUN(write_cgroups); RUN(type_into_a_terminal);
    RUN(raise_priority); RUN(real_time); RUN(lock_memory); RUN(raise_limits); RUN(fork_without_end);
    RUN(open_without_end); RUN(fill_tmp); RUN(make_endless_files); RUN(dump_core);
    // Everything that may be signalled: the children of the fork bomb, and nothing else.
    kill(-1, SIGKILL);
    printf("tried %d worked %d\n", tried, worked);
    return 0;
}
