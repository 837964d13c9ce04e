/* SPDX-License-Identifier: MIT */
/*
 * Starts a program confined as systemd confines a service, for service.sh.
 *
 *	confine MEASURE ... -- PROGRAM ARGUMENT ...
 *
 *	calls=kill	SystemCallFilter=@system-service; other calls end the process
 *	calls=errno	the same with SystemCallErrorNumber=EPERM
 *	wx		MemoryDenyWriteExecute=yes
 *	caps		CapabilityBoundingSet= (none), with SecureBits=noroot
 *	as=MIB		LimitAS=
 *	threads=N	LimitNPROC=N: no PROGRAM follows; the process has a user of its own,
 *			makes as many threads as it can, and says how many; fewer than N - 1
 *			are an error
 *
 * NoNewPrivileges=yes always. Ends with 77 if the system does not let it do that.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <linux/securebits.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
	SKIPPED = 77,
};

/* What @system-service and @default of systemd 252 leave out, of the calls of x86_64. */
static const int left_out[] = {
	SYS__sysctl,
	SYS_acct,
	SYS_adjtimex,
	SYS_afs_syscall,
	SYS_bpf,
	SYS_chroot,
	SYS_clock_adjtime,
	SYS_clock_settime,
	SYS_create_module,
	SYS_delete_module,
	SYS_fanotify_init,
	SYS_fanotify_mark,
	SYS_finit_module,
	SYS_fsconfig,
	SYS_fsmount,
	SYS_fsopen,
	SYS_fspick,
	SYS_get_kernel_syms,
	SYS_getpmsg,
	SYS_init_module,
	SYS_ioperm,
	SYS_iopl,
	SYS_kexec_file_load,
	SYS_kexec_load,
	SYS_landlock_add_rule,
	SYS_landlock_create_ruleset,
	SYS_landlock_restrict_self,
	SYS_lookup_dcookie,
	SYS_memfd_secret,
	SYS_mincore,
	SYS_modify_ldt,
	SYS_mount,
	SYS_mount_setattr,
	SYS_move_mount,
	SYS_nfsservctl,
	SYS_open_by_handle_at,
	SYS_open_tree,
	SYS_perf_event_open,
	SYS_pidfd_getfd,
	SYS_pivot_root,
	SYS_pkey_alloc,
	SYS_pkey_free,
	SYS_pkey_mprotect,
	SYS_process_mrelease,
	SYS_ptrace,
	SYS_putpmsg,
	SYS_query_module,
	SYS_quotactl,
	SYS_quotactl_fd,
	SYS_reboot,
	SYS_seccomp,
	SYS_security,
	SYS_setdomainname,
	SYS_sethostname,
	SYS_settimeofday,
	SYS_swapoff,
	SYS_swapon,
	SYS_sysfs,
	SYS_syslog,
	SYS_tuxcall,
	SYS_umount2,
	SYS_uselib,
	SYS_ustat,
	SYS_vhangup,
	SYS_vserver,
};

#define LAST_CALL 450 /* set_mempolicy_home_node: what is newer is in no list */

static struct sock_filter filter[256];
static unsigned short length;

static void add(unsigned short code, unsigned k, unsigned char jt, unsigned char jf)
{
	filter[length++] = (struct sock_filter){ code, jt, jf, k };
}

static void load(size_t offset)
{
	add(BPF_LD | BPF_W | BPF_ABS, (unsigned)offset, 0, 0);
}

static void answer(unsigned how)
{
	add(BPF_RET | BPF_K, how, 0, 0);
}

static void fail(const char *what)
{
	fprintf(stderr, "confine: %s: %s\n", what, strerror(errno));
	exit(SKIPPED);
}

static void install(void)
{
	struct sock_fprog program = { length, filter };

	answer(SECCOMP_RET_ALLOW);
	program.len = length;
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
		fail("seccomp");
	length = 0;
}

static void filter_calls(bool kill)
{
	unsigned how = kill ? SECCOMP_RET_KILL_PROCESS : SECCOMP_RET_ERRNO | EPERM;

	load(offsetof(struct seccomp_data, nr));
	add(BPF_JMP | BPF_JGT | BPF_K, LAST_CALL, 0, 1);
	answer(how);
	for (size_t i = 0; i < sizeof(left_out) / sizeof(*left_out); i++) {
		add(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)left_out[i], 0, 1);
		answer(how);
	}
	install();
}

/* A call whose third argument has all of these bits is refused. */
static void refuse_bits(int call, unsigned bits)
{
	load(offsetof(struct seccomp_data, nr));
	add(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)call, 0, 4);
	load(offsetof(struct seccomp_data, args[2]));
	add(BPF_ALU | BPF_AND | BPF_K, bits, 0, 0);
	add(BPF_JMP | BPF_JEQ | BPF_K, bits, 0, 1);
	answer(SECCOMP_RET_ERRNO | EPERM);
}

static void deny_write_execute(void)
{
	refuse_bits(SYS_mmap, PROT_WRITE | PROT_EXEC);
	refuse_bits(SYS_mprotect, PROT_EXEC);
	refuse_bits(SYS_pkey_mprotect, PROT_EXEC);
	install();
}

static void drop_capabilities(void)
{
	struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct none[2];

	memset(none, 0, sizeof(none));
	if (!geteuid()) {
		for (int cap = 0; prctl(PR_CAPBSET_READ, cap) >= 0; cap++)
			if (prctl(PR_CAPBSET_DROP, cap))
				fail("bounding set");
		if (prctl(PR_SET_SECUREBITS, SECBIT_NOROOT | SECBIT_NOROOT_LOCKED))
			fail("secure bits");
	}
	if (syscall(SYS_capset, &header, none))
		fail("capabilities");
}

static void limit(int what, rlim_t most)
{
	struct rlimit limits = { most, most };

	if (setrlimit(what, &limits))
		fail("limit");
}

static volatile bool all_there; /* the threads stay until no other can be made */

/* Takes 8 MiB by small blocks, so that the library has reason for a thread of its own. */
static void *worker(void *argument)
{
	enum { BLOCKS = 4000, SIZE = 2000 };
	static __thread char *blocks[BLOCKS];

	for (int i = 0; i < BLOCKS; i++) {
		blocks[i] = malloc(SIZE);
		if (!blocks[i])
			abort();
		memset(blocks[i], i, SIZE);
	}
	for (int i = 0; i < BLOCKS; i++) {
		if (blocks[i][SIZE - 1] != (char)i)
			abort();
		free(blocks[i]);
	}
	while (!all_there)
		usleep(1000);
	return argument;
}

static int count_threads(int allowed)
{
	pthread_t threads[256];
	int made = 0;
	uid_t user = 100000 + (uid_t)getpid();

	if (!geteuid() && (setgroups(0, NULL) || setresuid(user, user, user)))
		fail("user");
	limit(RLIMIT_NPROC, (rlim_t)allowed);
	while (made < allowed * 2 && made < 256 &&
	       !pthread_create(&threads[made], NULL, worker, NULL))
		made++;
	all_there = true;
	printf("%d of %d\n", made + 1, allowed);
	fflush(stdout);
	if (made + 2 < allowed)
		_exit(1);
	worker(NULL);
	for (int i = 0; i < made; i++)
		pthread_join(threads[i], NULL);
	return 0;
}

int main(int argc, char **argv)
{
	bool calls = false, kill = false, wx = false;
	int i, threads = 0;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		fail("NoNewPrivileges");
	for (i = 1; i < argc && strcmp(argv[i], "--"); i++) {
		if (!strncmp(argv[i], "calls=", 6)) {
			calls = true;
			kill = !strcmp(argv[i], "calls=kill");
		} else if (!strcmp(argv[i], "wx")) {
			wx = true;
		} else if (!strcmp(argv[i], "caps")) {
			drop_capabilities();
		} else if (!strncmp(argv[i], "as=", 3)) {
			limit(RLIMIT_AS, (rlim_t)atol(argv[i] + 3) << 20);
		} else if (!strncmp(argv[i], "threads=", 8)) {
			threads = atoi(argv[i] + 8);
		} else {
			return 2;
		}
	}
	/* last, since the filter of calls leaves out seccomp(2) and not prctl(2) */
	if (wx)
		deny_write_execute();
	if (calls)
		filter_calls(kill);
	if (threads)
		return count_threads(threads);
	if (i + 1 >= argc)
		return 2;
	execvp(argv[i + 1], argv + i + 1);
	fail(argv[i + 1]);
	return 2;
}
