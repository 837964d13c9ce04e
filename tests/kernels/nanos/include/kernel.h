/* SPDX-License-Identifier: MIT */
/*
 * What the port uses of nanos, declared as there. The image of the test defines the functions.
 */
#ifndef TESTS_NANOS_KERNEL_H
#define TESTS_NANOS_KERNEL_H

typedef unsigned char u8;
typedef unsigned u32;
typedef unsigned long u64;
typedef u64 bytes;
typedef u8 boolean;

typedef struct heap *heap;
typedef struct value *value;

struct heap {
	u64 (*alloc)(struct heap *h, bytes b);
	void (*dealloc)(struct heap *h, u64 a, bytes b);
	void (*destroy)(struct heap *h);
	bytes (*allocated)(struct heap *h);
	bytes (*total)(struct heap *h);
	value (*management)(struct heap *h);
	bytes pagesize;
};

#define INVALID_PHYSICAL (-1ull)
#define INVALID_ADDRESS	 ((void *)INVALID_PHYSICAL)

#define pointer_from_u64(a) ((void *)(a))
#define u64_from_pointer(a) ((u64)(a))

#define allocate_u64(h, size)	     ((h)->alloc(h, size))
#define deallocate_u64(h, a, size)   ((h)->dealloc(h, a, size))
#define allocate(h, size)	     pointer_from_u64(allocate_u64(h, size))
#define deallocate(h, pointer, size) deallocate_u64(h, u64_from_pointer(pointer), size)

#define build_assert(x) _Static_assert(x, #x)
/* of a pointer type */
#define offsetof(type, member) __builtin_offsetof(__typeof__(*(type)0), member)

typedef struct range {
	u64 start, end;
} range;

/* Its first members are where assembly wants them. */
struct cpuinfo_machine {
	void *self;
	void *current_context, *kernel_context, *syscall_context;
	u64 tmp;
	u64 hakmem[3]; /* this is added for the port */
	void *exception_stack;
};

typedef struct cpuinfo {
	struct cpuinfo_machine m;
	u32 id;
} * cpuinfo;

u64 irq_disable_save(void);
void irq_restore(u64 flags);

#define fetch_and_add(word, amount) __sync_fetch_and_add(word, amount)

typedef struct sstring {
	char *ptr;
	bytes len;
} sstring;

sstring sstring_from_cstring(const char *string, bytes most);
void nanos_halt(const char *format, sstring what) __attribute__((noreturn));
#define halt(format, what) nanos_halt(format, what)

#endif
