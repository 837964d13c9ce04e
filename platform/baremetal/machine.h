/* SPDX-License-Identifier: MIT */
/*
 * What a kernel or a boot image calls on this platform besides the allocator, or defines itself:
 * the console, the private area of a CPU, interrupts, where memory is for a device, the way to
 * stop.
 *
 * Each function of this header and of host.h is alone in its file (cpu.c, wait.c,
 * console_write.c and so on). So a kernel that defines one of them keeps that of the
 * library out of its image.
 */
#ifndef HAK_MACHINE_H
#define HAK_MACHINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <hakmem/config.h>
#include <hakmem/host.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * How far addresses of the heap go: 2^36 is 64 GiB. The root of the page map has a word for each
 * 256 MiB of that: 2 KiB; and the frame provider has two bits for each 2 MiB: 8 KiB. `make
 * HAK_ADDRESS_BITS=40` is for 1 TiB, with 32 and 128 KiB. They begin at 0, or where
 * hak_init_with() says.
 */
#ifndef HAK_ADDRESS_BITS
#define HAK_ADDRESS_BITS 36
#endif

struct hak_cache;

/**
 * struct hak_cpu - the private words of a CPU, to which its GS leads; only this CPU writes them
 * @self:  its own address
 * @cache: what malloc uses; hak_cache_none at first
 * @held:  which locks the CPU holds: see LOCK_RANKS in base/lock.h
 * @id:    the number of the CPU, for messages
 * @asks:  is hak_host_pressure() or hak_host_low_water() under way?
 *
 * GS points to it, or to something else of the kernel in which it lies hak_cpu_at bytes behind the
 * start: see below.
 */
struct hak_cpu {
	struct hak_cpu *self;
	struct hak_cache *cache;
	unsigned held;
	uint16_t id;
	bool asks;
};

/* The status of a machine that has panicked. What main() returns is below it. */
#define HAK_EXIT_PANIC 101

/**
 * hak_cpu_init() - give this CPU its private words
 * @cpu: their memory, which stays until hak_cpu_move() or for ever; mostly a part of what the
 *	 kernel has for each CPU
 * @id:  the number of the CPU, for messages; of 16 bits
 *
 * Fills them in, and lets GS point hak_cpu_at bytes below them. Each CPU calls this before it
 * calls anything else of the allocator, and after the last time that the kernel has loaded a
 * selector into GS, which makes it point to 0. When one CPU has called hak_fini(), all others
 * call this again, since what they had is gone. A CPU needs nothing else. One that had such words
 * already calls hak_cpu_fini() before it calls this again, or its cache is lost.
 *
 * It writes an MSR. A kernel in ring 3 defines a function of this name itself: it fills in all of
 * *@cpu, with hak_cache_none, and lets GS lead there.
 */
void hak_cpu_init(struct hak_cpu *cpu, unsigned id);

/**
 * hak_cpu_move() - this CPU's private words lie elsewhere from now on
 * @to: as for hak_cpu_init()
 *
 * For a kernel whose areas of CPUs come from the heap, which has to have an area before it
 * can allocate. The blocks in the magazines of the CPU stay there. Interrupts are off meanwhile.
 * What the kernel itself has in the old area, it copies before. The old memory is free for other
 * use afterwards. Called on the CPU itself, not in an interrupt handler.
 */
void hak_cpu_move(struct hak_cpu *to);

/**
 * hak_cpu_require() - stop the machine, with a line, if this CPU has no private words
 *
 * hak_init() calls it, since the first malloc would end in a triple fault. It reads an MSR, so in
 * ring 3 it does nothing. It finds a GS that is 0, or that leads to something else, if that can
 * be read.
 */
void hak_cpu_require(void);

/**
 * hak_cpu_fini() - this CPU goes away
 *
 * Called on the CPU itself, not in an interrupt handler, by a caller that cannot be preempted.
 * The blocks in its magazines go back, and its cache serves the next CPU that calls
 * hak_cpu_init() and allocates. Until then the CPU may go on to allocate and free, without a
 * cache. The area is free for other use when GS does not point to it any more.
 */
void hak_cpu_fini(void);

/* Stand-ins for a cache: of a CPU that has none yet, and of an interrupt handler. */
extern struct hak_cache *const hak_cache_none, *const hak_cache_never;

/*
 * How a CPU gets to its struct hak_cpu.
 *
 * By default, GS points to it. A kernel that has other things where its GS points to says by how
 * many bytes the struct lies behind them, in one of two ways. It defines an absolute symbol,
 * hak_cpu_at (`ld --defsym hak_cpu_at=0x28`); that of the library is 0, and weak. Or it builds the
 * library with `make HAK_CPU_AT=0x28`, which position-independent code needs, as it cannot have
 * such a symbol. The instructions are the same ones.
 *
 * With CONFIG_HAK_CPU_HEADER the kernel has a header <hak_cpu.h>, in a folder that it names when
 * it builds the library (BM_FLAGS=-I...) and itself. It is included here, and defines
 *
 *	static inline struct hak_cpu *hak_cpu_self(void)
 *
 * which returns the struct of the CPU that calls: of the only one, for instance, `return &cpu;`. As
 * long as the CPU has none it returns NULL, or one that is all zero. hak_cpu_init() and
 * hak_cpu_move() fill in what they are given, and do no more: then the kernel sees to it that
 * hak_cpu_self() finds it.
 */
#if CONFIG_HAK_CPU_HEADER

#include <hak_cpu.h>

static inline struct hak_cache *hak_cpu_cache(void)
{
	return *(struct hak_cache *volatile *)&hak_cpu_self()->cache;
}

static inline void hak_cpu_set_cache(struct hak_cache *cache)
{
	*(struct hak_cache *volatile *)&hak_cpu_self()->cache = cache;
}

#else

#if defined(__PIC__) && !defined(HAK_CPU_AT)
#define HAK_CPU_AT 0
#endif
#ifdef HAK_CPU_AT
#define HAK_CPU_WORD	      "%%gs:%c[at]"
#define HAK_CPU_OFFSET(field) [at] "i"((HAK_CPU_AT) + offsetof(struct hak_cpu, field))
#else
#define HAK_CPU_WORD	      "%%gs:hak_cpu_at+%c[at]"
#define HAK_CPU_OFFSET(field) [at] "i"(offsetof(struct hak_cpu, field))
#endif

static inline struct hak_cpu *hak_cpu_self(void)
{
	struct hak_cpu *cpu;

	__asm__ volatile("movq " HAK_CPU_WORD ", %0" : "=r"(cpu) : HAK_CPU_OFFSET(self));
	return cpu;
}

/* For this header and the library: the cache of this CPU, in one instruction. */
static inline struct hak_cache *hak_cpu_cache(void)
{
	struct hak_cache *cache;

	__asm__ volatile("movq " HAK_CPU_WORD ", %0" : "=r"(cache) : HAK_CPU_OFFSET(cache));
	return cache;
}

/* One instruction does it, so an interrupt finds the old one or the new one. */
static inline void hak_cpu_set_cache(struct hak_cache *cache)
{
	__asm__ volatile("movq %0, " HAK_CPU_WORD : : "r"(cache), HAK_CPU_OFFSET(cache) : "memory");
}

#endif

/**
 * hak_interrupt_enter() - an interrupt handler begins that may allocate or free
 *
 * Until hak_interrupt_leave() the handler may call all of malloc and free, whatever it has
 * interrupted: they leave the magazines of the CPU alone, and work block by block. It may not
 * call hak_idle(), hak_trim(), hak_check(), nor what reads or prints statistics. Interrupts
 * may be on or off, and handlers may nest.
 *
 * Debug builds report a handler that allocates or frees without this, if it has interrupted a
 * call that is using the CPU's magazines. At other moments it would do no harm.
 *
 * This is not for handlers of exceptions and of non-maskable interrupts. These come in places
 * where other interrupts cannot come, and may not allocate.
 *
 * Returns what hak_interrupt_leave() needs, which is called on the same CPU.
 */
static inline struct hak_cache *hak_interrupt_enter(void)
{
	struct hak_cache *previous = hak_cpu_cache();

	hak_cpu_set_cache(hak_cache_never);
	return previous;
}

/**
 * hak_interrupt_leave() - the interrupt handler ends
 * @previous: what hak_interrupt_enter() has returned
 */
static inline void hak_interrupt_leave(struct hak_cache *previous)
{
	hak_cpu_set_cache(previous);
}

/**
 * hak_console_init() - set up the first serial port: 115200 baud, 8 bits, no parity, 1 stop bit
 */
void hak_console_init(void);

/**
 * hak_console_write() - print @length bytes of @text as they are
 *
 * Waits for the port; if it is stuck for seconds, the rest of @text is lost. May be called in
 * any context. Lines of several CPUs may mix.
 */
void hak_console_write(const char *text, size_t length);

/**
 * hak_console_sink() - the console as a sink, for hak_dump(), hak_stats_text() and the like
 * @ctx: is not used
 */
void hak_console_sink(void *ctx, const char *text, size_t length);

/**
 * hak_host_physical() - where is this memory for a device?
 * @address: in memory that the library hands to a device: its own static data, memory of the
 *	     page provider, or what was given to hak_balloon_report() and the like
 *
 * Only the balloon and hak_pages_alloc() call it. Returns the physical address of this byte.
 * The bytes behind it, up to the end of the page of HAK_GRANULE bytes, follow it in physical
 * memory; for the next page there is another call. The library's version returns @address, for
 * memory that is mapped one to one. Called with locks of the provider held and interrupts off.
 * It may not call the allocator.
 */
uint64_t hak_host_physical(const void *address);

/**
 * hak_host_pci_read() - read from the configuration space of a device
 * hak_host_pci_write() - write to it
 * @function: which one: the bus in bits 16 to 23, the device in bits 11 to 15, the function in
 *	      bits 8 to 10, as the port 0xcf8 has them
 * @offset:   a multiple of @bits / 8, below 256
 * @bits:     8, 16 or 32
 *
 * Only the balloon calls them: hak_balloon_start() to find the device, and all calls if the device
 * has no legacy interface. A read from a function that does not exist returns bits that are all
 * set. The library's versions use the ports 0xcf8 and 0xcfc, with interrupts off and without a
 * lock. A kernel where other CPUs access configuration space, too, defines both. Called with locks
 * of the provider held and interrupts off. They may not call the allocator.
 */
uint32_t hak_host_pci_read(uint32_t function, unsigned offset, unsigned bits);
void hak_host_pci_write(uint32_t function, unsigned offset, unsigned bits, uint32_t value);

/**
 * hak_machine_exit() - stop the machine
 * @status: 0 for success; the machine decides whom it tells
 *
 * The library's version halts this CPU for ever. The image for QEMU has a better one
 * (qemu/exit.c).
 */
HAK_NORETURN void hak_machine_exit(int status);

#ifdef __cplusplus
}
#endif

#endif
