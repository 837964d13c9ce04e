/* SPDX-License-Identifier: MIT */
/*
 * See README.md. The type qualifier _Atomic is the compiler's own; here are the functions of
 * C11 7.17 over its builtins, of which gcc and clang have different ones for such types.
 */
#ifndef HAKMEM_STDATOMIC_H
#define HAKMEM_STDATOMIC_H

typedef enum {
	memory_order_relaxed = __ATOMIC_RELAXED,
	memory_order_acquire = __ATOMIC_ACQUIRE,
	memory_order_release = __ATOMIC_RELEASE,
	memory_order_acq_rel = __ATOMIC_ACQ_REL,
	memory_order_seq_cst = __ATOMIC_SEQ_CST,
} memory_order;

#ifdef __clang__
#define atomic_load_explicit(object, order)	       __c11_atomic_load(object, order)
#define atomic_store_explicit(object, value, order)    __c11_atomic_store(object, value, order)
#define atomic_exchange_explicit(object, value, order) __c11_atomic_exchange(object, value, order)
#define atomic_fetch_add_explicit(object, n, order)    __c11_atomic_fetch_add(object, n, order)
#define atomic_fetch_sub_explicit(object, n, order)    __c11_atomic_fetch_sub(object, n, order)
#define atomic_compare_exchange_strong_explicit(object, expected, value, success, failure)         \
	__c11_atomic_compare_exchange_strong(object, expected, value, success, failure)
#else
#define atomic_load_explicit(object, order)	       __atomic_load_n(object, order)
#define atomic_store_explicit(object, value, order)    __atomic_store_n(object, value, order)
#define atomic_exchange_explicit(object, value, order) __atomic_exchange_n(object, value, order)
#define atomic_fetch_add_explicit(object, n, order)    __atomic_fetch_add(object, n, order)
#define atomic_fetch_sub_explicit(object, n, order)    __atomic_fetch_sub(object, n, order)
#define atomic_compare_exchange_strong_explicit(object, expected, value, success, failure)         \
	__atomic_compare_exchange_n(object, expected, value, 0, success, failure)
#endif

#define atomic_exchange(object, value) atomic_exchange_explicit(object, value, memory_order_seq_cst)
#define atomic_fetch_add(object, n)    atomic_fetch_add_explicit(object, n, memory_order_seq_cst)
#define atomic_fetch_sub(object, n)    atomic_fetch_sub_explicit(object, n, memory_order_seq_cst)
#define atomic_compare_exchange_strong(object, expected, value)                                    \
	atomic_compare_exchange_strong_explicit(object, expected, value, memory_order_seq_cst,     \
						memory_order_seq_cst)

#define atomic_thread_fence(order) __atomic_thread_fence(order)
#define atomic_signal_fence(order) __atomic_signal_fence(order)

typedef struct {
	unsigned char set;
} atomic_flag;

/* clang-format off */
#define ATOMIC_FLAG_INIT { 0 }
/* clang-format on */

#define atomic_flag_test_and_set_explicit(flag, order) __atomic_test_and_set(&(flag)->set, order)
#define atomic_flag_clear_explicit(flag, order)	       __atomic_clear(&(flag)->set, order)

#endif
