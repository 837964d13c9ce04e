/* SPDX-License-Identifier: MIT */
/*
 * Threads that are preempted anywhere, also inside malloc and free, and go on on
 * whatever CPU is free: what CONFIG_HAK_IRQSAVE is for. Without it this image
 * fails.
 *
 *	preempt [--ops N]
 *
 * The kernel is as small as it can be: a queue of threads that could run, and a
 * timer on each CPU that takes the first of them. A thread that was preempted
 * gets into the queue a tick later, when nobody is on its stack any more. What
 * smp_run() runs on a CPU is not a thread, and gets the CPU when the queue is
 * empty.
 */
#include <hakmem/hakmem.h>
#include <machine.h>

#include "../test.h"
#include "cpus.h"
#include "traffic.h"

#define NR_THREADS   (2 * BOOT_MAX_CPUS + 8u)
#define STACK_SIZE   32768u
#define TICKS	     50000 /* of 1 ns: 20 kHz */
#define OPS_PER_SCAN 1000u
#define FLAGS	     0x202 /* interrupts on */

struct thread {
	struct thread *next;
	struct interrupt_frame *frame; /* where it goes on */
	uint64_t random;
	unsigned long ops;
	volatile bool inside; /* a call of the allocator */
	volatile bool finished;
	unsigned preempted, moved; /* how often inside */
	char stack[STACK_SIZE] __attribute__((aligned(16)));
};

static struct thread threads[NR_THREADS];
static unsigned long ops_wanted;
static _Atomic unsigned nr_finished;

/* Those that could run, the first first. Used with interrupts off. */
static struct {
	atomic_flag busy;
	struct thread *first, **end;
} queue = { .busy = ATOMIC_FLAG_INIT, .end = &queue.first };

/* Of each CPU: who runs, who was preempted last, and what is no thread. */
static struct {
	struct thread *runs, *left;
	struct interrupt_frame *home;
} cpus[BOOT_MAX_CPUS];

/* Append @last, if it is one, and take the first; NULL if there is none. */
static struct thread *queue_turn(struct thread *last)
{
	struct thread *first;

	while (atomic_flag_test_and_set_explicit(&queue.busy, memory_order_acquire))
		cpu_relax();
	if (last) {
		last->next = NULL;
		*queue.end = last;
		queue.end = &last->next;
	}
	first = queue.first;
	if (first) {
		queue.first = first->next;
		if (!queue.first)
			queue.end = &queue.first;
	}
	atomic_flag_clear_explicit(&queue.busy, memory_order_release);
	return first;
}

static struct interrupt_frame *tick(struct interrupt_frame *frame)
{
	unsigned cpu = this_cpu()->id;
	struct thread *runs = cpus[cpu].runs, *next = queue_turn(cpus[cpu].left);

	if (runs) {
		runs->frame = frame;
		runs->preempted += runs->inside;
		cpus[cpu].left = runs->finished ? NULL : runs;
	} else {
		cpus[cpu].home = frame;
		cpus[cpu].left = NULL;
	}
	cpus[cpu].runs = next;
	return next ? next->frame : cpus[cpu].home;
}

static void give_back(struct thread *thread)
{
	if (thread != threads)
		hak_flush();
	else if (thread->ops % (4 * OPS_PER_SCAN))
		hak_idle(4);
	else
		hak_trim(HAK_TRIM_ALL);
}

static _Noreturn void thread_runs(struct thread *thread)
{
	while (thread->ops < ops_wanted / NR_THREADS && !traffic_wrong) {
		unsigned mail = test_random(&thread->random) % NR_MAILS, cpu = this_cpu()->id;

		thread->inside = true;
		traffic_exchange(&traffic_mail[mail], &thread->random);
		if (thread->ops % OPS_PER_SCAN == 0)
			give_back(thread);
		thread->inside = false;
		thread->moved += this_cpu()->id != cpu;
		thread->ops += 2;
	}
	nr_finished++;
	thread->finished = true;
	for (;;)
		cpu_relax(); /* until the next tick, which is the last */
}

static void thread_create(struct thread *thread)
{
	char *top = thread->stack + STACK_SIZE;
	struct interrupt_frame *frame = (struct interrupt_frame *)top - 1;

	frame->rip = (uintptr_t)thread_runs;
	frame->cs = GDT_CODE;
	frame->rflags = FLAGS;
	frame->rsp = (uintptr_t)frame; /* aligned as after a call */
	frame->ss = GDT_DATA;
	frame->rdi = (uintptr_t)thread;
	thread->frame = frame;
	thread->random = (uintptr_t)thread;
	thread->next = queue.first;
	if (!queue.first)
		queue.end = &thread->next;
	queue.first = thread;
}

static void run_threads(void *unused)
{
	(void)unused;
	lapic_timer(TICKS);
	cpu_interrupts_on();
	while (nr_finished < NR_THREADS)
		cpu_relax();
	cpu_interrupts_off();
	lapic_timer(0);
}

static void preempt_anywhere(void)
{
	unsigned long preempted = 0, moved = 0, ops = 0;

	CHECK(cpus_open());
	for (unsigned i = 0; i < NR_THREADS; i++)
		thread_create(&threads[i]);
	interrupt_set(VECTOR_TIMER, tick);
	smp_run(run_threads, NULL);
	traffic_end();
	for (unsigned i = 0; i < NR_THREADS; i++) {
		preempted += threads[i].preempted;
		moved += threads[i].moved;
		ops += threads[i].ops;
	}
	test_print("%u threads, %lu operations, %lu preempted, %lu on another CPU afterwards\n",
		   NR_THREADS, ops, preempted, moved);
	if (traffic_wrong)
		test_print("%s\n", traffic_wrong);
	CHECK(!traffic_wrong && preempted && (moved || smp_count() == 1));
	CHECK(cpus_close());
}

int main(int argc, char **argv)
{
	ops_wanted = cpus_option(argc, argv, "--ops", 1000000);
	TEST_RUN(preempt_anywhere);
	return test_finish();
}
