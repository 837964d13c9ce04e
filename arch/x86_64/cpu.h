/* SPDX-License-Identifier: MIT */
/*
 * The instructions that C has no words for: for the core, both platforms and the boot code.
 * All of it is in this header. It needs no library, and only headers of the compiler.
 */
#ifndef HAKMEM_ARCH_CPU_H
#define HAKMEM_ARCH_CPU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Count a word of memory up, and down, in one instruction. An interrupt, or another thread on
 * the same CPU, comes before it or after it. Another CPU may come between its load and its
 * store, since there is no LOCK prefix, which would make it several times as slow.
 *
 * What the program wrote before cpu_increment() is written before it.
 */
static inline void cpu_increment(uint16_t *word)
{
	__asm__ volatile("addw $1, %0" : "+m"(*word) : : "memory", "cc");
}

/* Returns whether the word is 0 now. */
static inline bool cpu_decrement_to_zero(uint16_t *word)
{
	bool zero;

	__asm__ volatile("subw $1, %0" : "+m"(*word), "=@ccz"(zero));
	return zero;
}

/*
 * Store a word @words times. Where the size of code counts, compilers make memset() a loop over
 * bytes, and this is shorter and faster.
 */
static inline void cpu_fill(void *start, uint64_t value, size_t words)
{
	__asm__ volatile("rep stosq" : "+D"(start), "+c"(words) : "a"(value) : "memory");
}

/* Clear @size bytes, a multiple of 8. */
static inline void cpu_clear(void *start, size_t size)
{
	cpu_fill(start, 0, size / 8);
}

/* While spinning: leave the core to its other hardware thread, and QEMU to its other CPUs. */
static inline void cpu_relax(void)
{
	__asm__ volatile("pause" ::: "memory");
}

/* Sleep until an interrupt; for ever, if they are off. */
static inline void cpu_halt(void)
{
	__asm__ volatile("hlt" ::: "memory");
}

static inline void cpu_interrupts_off(void)
{
	__asm__ volatile("cli" ::: "memory");
}

static inline void cpu_interrupts_on(void)
{
	__asm__ volatile("sti" ::: "memory");
}

/*
 * Turn interrupts on and sleep until one comes. None is missed: sti takes effect only after
 * the next instruction.
 */
static inline void cpu_wait_for_interrupt(void)
{
	__asm__ volatile("sti; hlt" ::: "memory");
}

#define CPU_FLAG_INTERRUPTS 0x200ul

static inline unsigned long cpu_read_flags(void)
{
	unsigned long flags;

	__asm__ volatile("pushfq; popq %0" : "=r"(flags) : : "memory");
	return flags;
}

/* I/O ports. */
static inline void io_write8(uint16_t port, uint8_t value)
{
	__asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static inline void io_write16(uint16_t port, uint16_t value)
{
	__asm__ volatile("outw %0, %1" : : "a"(value), "Nd"(port));
}

static inline void io_write32(uint16_t port, uint32_t value)
{
	__asm__ volatile("outl %0, %1" : : "a"(value), "Nd"(port));
}

static inline uint8_t io_read8(uint16_t port)
{
	uint8_t value;

	__asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

static inline uint16_t io_read16(uint16_t port)
{
	uint16_t value;

	__asm__ volatile("inw %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

static inline uint32_t io_read32(uint16_t port)
{
	uint32_t value;

	__asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

/* The same for a width that is known at run time: @bits is 8, 16 or 32. */
static inline uint32_t io_read(uint16_t port, unsigned bits)
{
	if (bits == 32)
		return io_read32(port);
	return bits == 16 ? io_read16(port) : io_read8(port);
}

static inline void io_write(uint16_t port, unsigned bits, uint32_t value)
{
	if (bits == 32)
		io_write32(port, value);
	else if (bits == 16)
		io_write16(port, (uint16_t)value);
	else
		io_write8(port, (uint8_t)value);
}

/* Cycles since some moment. The CPU may read them earlier or later than the code says. */
static inline uint64_t cpu_read_tsc(void)
{
	uint32_t low, high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
	return (uint64_t)high << 32 | low;
}

/* Does the CPU make random numbers? (CPUID, leaf 1) */
static inline bool cpu_has_random(void)
{
	uint32_t eax = 1, ebx, ecx = 0, edx;

	__asm__("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
	return ecx >> 30 & 1;
}

/* False if it has none just now. */
static inline bool cpu_random(uint64_t *random)
{
	bool done;

	__asm__ volatile("rdrand %0" : "=r"(*random), "=@ccc"(done));
	return done;
}

static inline void cpu_write_msr(uint32_t msr, uint64_t value)
{
	__asm__ volatile("wrmsr" : : "c"(msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32)));
}

/* The instruction clears the upper halves of both registers. */
static inline uint64_t cpu_read_msr(uint32_t msr)
{
	uint64_t low, high;

	__asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
	return high << 32 | low;
}

/* The address at which the last page fault happened. */
static inline uint64_t cpu_read_cr2(void)
{
	uint64_t value;

	__asm__ volatile("mov %%cr2, %0" : "=r"(value));
	return value;
}

#endif
