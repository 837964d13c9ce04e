/* SPDX-License-Identifier: MIT */
/*
 * What can be chosen when the library is built: `make CONFIG_HAK_X=y|n`.
 * Every option is 0 or 1 and is tested with IS_ENABLED(), so that both sides
 * of every choice are always compiled.
 */
#ifndef HAKMEM_CONFIG_H
#define HAKMEM_CONFIG_H

/*
 * Checks that cost time on every call: assertions, the order of locks, and
 * every free compared with its slab and its magazine, so that an interior
 * pointer or a double free is reported by the call that commits it.
 * `make DEBUG=1` sets it.
 */
#ifndef CONFIG_HAK_DEBUG
#define CONFIG_HAK_DEBUG 0
#endif

/*
 * For a kernel that may preempt a thread inside malloc or free and let another
 * use the allocator on the same CPU, or the same thread go on on another: all
 * that is done to a CPU's cache is done with interrupts off. Costs the fast
 * path a call of hak_host_irq_save() and one of hak_host_irq_restore(): a pair
 * of malloc and free 71 instructions instead of 38. A refill or spill, for which
 * the provider may be called, is done with them off; large blocks, looks and
 * trims are not. Bare metal only; Linux has a cache per thread.
 */
#ifndef CONFIG_HAK_IRQSAVE
#define CONFIG_HAK_IRQSAVE 0
#endif

/*
 * For a kernel whose provider can move memory between addresses (provider.h,
 * move): large blocks that grow take it along instead of being copied. 0.9 KiB
 * more on bare metal; Linux always has it.
 */
#ifndef CONFIG_HAK_MOVE
#define CONFIG_HAK_MOVE 0
#endif

#endif
