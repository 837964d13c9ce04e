/* SPDX-License-Identifier: MIT */
/*
 * A block that is freed waits in a queue until as many others were freed after it. So it is not
 * used again at once, and a write to it is found: when it leaves, and by who reads all that waits.
 * It belongs to the heap below when it has left; its record says so until the memory is used again.
 *
 *	bytes  ==  the capacities of all that wait  <=  WAITING_BYTES
 *
 * A block that is longer than that does not wait, and is not poisoned.
 *
 * Lock: that of the samples. Failure: none; when there is no memory, all that waits is given up.
 */
#include "debug/waiting.h"

#include "api/fastpath.h"
#include "debug/report.h"

#define WAITING_MOST  1024u
#define WAITING_BYTES ((size_t)HAK_CACHE_BYTES)

static struct {
	struct record *record[WAITING_MOST]; /* from @first on, around the end [samples] */
	size_t capacity[WAITING_MOST];	     /* of these [samples] */
	unsigned first, n;		     /* [samples] */
	size_t bytes;			     /* [samples] */
} waiting;

/* The one that has waited for longest is the caller's. */
static struct record *pop_locked(void)
{
	struct record *record = waiting.record[waiting.first];

	waiting.bytes -= waiting.capacity[waiting.first];
	waiting.first = (waiting.first + 1) % WAITING_MOST;
	waiting.n--;
	if (record_is(record)) /* else leave() says so */
		record_set(record, RECORD_BUSY);
	return record;
}

static bool is_sound(const struct record *record, struct change *change)
{
	return record_is(record) && !record_zones_changed(record, change) &&
	       !record_free_changed(record, change);
}

static _Noreturn void waiting_report(const struct record *record, const struct change *change,
				     const char *caller)
{
	if (!record_is(record))
		report_broken(record, (const char *)record + RECORD_PLACE, caller);
	report_change(record, change, caller);
}

/* Nobody else has it. */
static void leave(struct record *record)
{
	struct change change;

	if (!is_sound(record, &change))
		waiting_report(record, &change, "free");
	samples_lock();
	record_set(record, RECORD_GONE);
	samples_unlock();
	hak_free_slow(record, "free");
}

/* Push it; or return one that has to go before. */
static struct record *push(struct record *record)
{
	struct record *oldest = NULL;

	samples_lock();
	if (waiting.n == WAITING_MOST || waiting.bytes + record->capacity > WAITING_BYTES) {
		oldest = pop_locked();
	} else {
		unsigned last = (waiting.first + waiting.n++) % WAITING_MOST;

		waiting.record[last] = record;
		waiting.capacity[last] = record->capacity;
		waiting.bytes += record->capacity;
		record_set(record, RECORD_WAITING);
	}
	samples_unlock();
	return oldest;
}

void waiting_enter(struct record *record)
{
	struct record *oldest;

	if (record->capacity > WAITING_BYTES) {
		samples_lock();
		record_set(record, RECORD_GONE);
		samples_unlock();
		hak_free_slow(record, "free");
		return;
	}
	record_fill_free(record);
	while ((oldest = push(record)))
		leave(oldest);
}

bool waiting_flush(void)
{
	struct record *record;
	bool any = false;

	do {
		samples_lock();
		record = waiting.n ? pop_locked() : NULL;
		samples_unlock();
		if (record)
			leave(record);
		any |= record != NULL;
	} while (record);
	return any;
}

void waiting_verify(const char *caller)
{
	struct change change;

	for (unsigned i = 0; i < WAITING_MOST; i++) {
		const struct record *record = NULL;

		samples_lock();
		if (i < waiting.n) {
			record = waiting.record[(waiting.first + i) % WAITING_MOST];
			if (is_sound(record, &change))
				record = NULL;
		}
		samples_unlock();
		if (record)
			waiting_report(record, &change, caller);
	}
}

void waiting_fini(void)
{
	waiting.n = 0;
	waiting.bytes = 0;
}
