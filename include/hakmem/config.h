/* SPDX-License-Identifier: MIT */
/*
 * What can be chosen when the library is built: `make CONFIG_HAK_X=y`, or n. Every option is 0
 * or 1 and is tested by IS_ENABLED() in an if, so both sides of every choice are compiled.
 */
#ifndef HAK_CONFIG_H
#define HAK_CONFIG_H

/*
 * Checks that cost time in every call: assertions, the order of locks, and each free compared
 * with its slab and its magazine. So an interior pointer or a double free is reported by the
 * very call. `make DEBUG=1` sets it. Red zones, poison and who has allocated a block are chosen
 * when the program starts: see core/debug/.
 */
#ifndef CONFIG_HAK_DEBUG
#define CONFIG_HAK_DEBUG 0
#endif

/*
 * Misuse is stopped and attacks are made hard, in production: see core/harden/. Each block ends
 * with a seal, is cleared when it is freed, and is used again as late as chance has it. Large
 * blocks have pages that fault. malloc and free take several times as many instructions.
 */
#ifndef CONFIG_HAK_HARDENED
#define CONFIG_HAK_HARDENED 0
#endif

/*
 * For a kernel that may preempt a thread inside malloc or free, and meanwhile let another
 * thread allocate on the same CPU, or move the first to another CPU. All that is done to the
 * cache of a CPU is then done with interrupts off. The fast path calls hak_host_irq_save() and
 * hak_host_irq_restore() for that, so malloc and free together take about twice as many
 * instructions. A refill or a spill has interrupts off as well, also while it calls the
 * provider. Large blocks, scans and trims do not. For bare metal only: Linux has a cache for
 * each thread.
 */
#ifndef CONFIG_HAK_IRQSAVE
#define CONFIG_HAK_IRQSAVE 0
#endif

/*
 * For a kernel whose provider can move memory to other addresses (see @move in provider.h). A
 * large block that grows then takes its memory along and is not copied. Off by default on
 * bare metal, since it makes the image larger. Linux always has it.
 */
#ifndef CONFIG_HAK_MOVE
#define CONFIG_HAK_MOVE 0
#endif

/*
 * For a kernel whose heap begins anywhere: in a direct map in the upper half, in a range of
 * virtual addresses, above 64 GiB. It says where, when it makes the heap (hak_init_with() in
 * hakmem.h). A free then takes one instruction more. Without this, addresses begin at 0. For
 * bare metal: on Linux all addresses are reached.
 */
#ifndef CONFIG_HAK_WINDOW
#define CONFIG_HAK_WINDOW 0
#endif

/*
 * Magazines for blocks above 32 KiB as well, up to 1 MiB: one block of each size on each CPU. They
 * are used once the provider says that it has at least 32 MiB (`left` of struct hak_mapping), or as
 * struct hak_options says. Sizes are rounded up then: four in each doubling. For bare metal: Linux
 * has such magazines anyway.
 */
#ifndef CONFIG_HAK_LARGE
#define CONFIG_HAK_LARGE 0
#endif

/*
 * For a kernel in which GS does not lead to a struct hak_cpu: it has one CPU, or another way to
 * the area of each. A header of the kernel's own, <hak_cpu.h>, then says which way. See machine.h.
 */
#ifndef CONFIG_HAK_CPU_HEADER
#define CONFIG_HAK_CPU_HEADER 0
#endif

#endif
