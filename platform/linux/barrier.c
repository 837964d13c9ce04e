/* SPDX-License-Identifier: MIT */
/*
 * hak_host_barrier() by membarrier(2): every thread of the program passes a memory barrier,
 * between two of its instructions.
 *
 * Where an emulator runs the program this is not so. It makes several instructions of its
 * host of one of x86, and hands the call to its host, whose barrier then falls between
 * these. So nothing is taken from others there. QEMU and FEX say by CPUID who they are,
 * Rosetta by the name of the CPU's maker. (A Linux on a CPU that QEMU emulates sees the
 * same, and loses it, too, though it would not have to.)
 *
 * A kernel that has no such call, or refuses it, is not asked again.
 */
#define _GNU_SOURCE
#include <cpuid.h>
#include <errno.h>
#include <linux/membarrier.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <hakmem/host.h>

#define LEAF_MAKER	0u
#define LEAF_HYPERVISOR 0x40000000u

/* Does CPUID give this name of 12 bytes? The maker's has its words in another order. */
static bool cpuid_is(unsigned leaf, const char *expected)
{
	unsigned eax, ebx, ecx, edx, name[3];

	__cpuid(leaf, eax, ebx, ecx, edx);
	name[0] = ebx;
	name[1] = leaf == LEAF_MAKER ? edx : ecx;
	name[2] = leaf == LEAF_MAKER ? ecx : edx;
	return !memcmp(name, expected, sizeof(name));
}

static bool is_emulated(void)
{
	return cpuid_is(LEAF_HYPERVISOR, "TCGTCGTCGTCG") ||
	       cpuid_is(LEAF_HYPERVISOR, "FEXIFEXIEMU") || cpuid_is(LEAF_MAKER, "VirtualApple");
}

static bool barrier(int command)
{
	return syscall(SYS_membarrier, command, 0, 0) == 0;
}

bool hak_host_barrier(void)
{
	static _Atomic bool works, fails;
	int saved = errno;

	if (!works && !fails && is_emulated())
		fails = true;
	if (fails)
		return false;
	works = barrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED);
	if (!works) { /* the first time, or the first time after a fork() */
		barrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED);
		works = barrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED);
		fails = !works;
	}
	errno = saved;
	return works;
}
