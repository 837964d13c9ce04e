/* SPDX-License-Identifier: MIT */
/*
 * As much of virtio as a driver needs that puts one buffer at a time into a
 * queue and waits for it to come back: over PCI and over memory-mapped registers, by
 * the legacy interface and by virtio 1. See virtio.c.
 */
#ifndef HAKMEM_VIRTIO_H
#define HAKMEM_VIRTIO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Kinds of devices. */
#define VIRTIO_BALLOON 5

/* A queue of this many entries fits into the memory of a struct virtio_queue. */
#define VIRTIO_QUEUE_MAX 128

enum virtio_interface {
	VIRTIO_PORTS,	 /* legacy on PCI: I/O ports */
	VIRTIO_MEMORY,	 /* legacy in memory */
	VIRTIO_MEMORY_1, /* virtio 1 in memory */
	VIRTIO_PCI_1,	 /* virtio 1 on PCI */
};

/* Where some registers of virtio 1 on PCI are. */
struct virtio_part {
	bool found;
	uint8_t bar;
	uint32_t offset;
};

struct virtio_device {
	enum virtio_interface interface;
	uintptr_t base; /* of its registers: an I/O port, or an address */
	/* for virtio 1 on PCI */
	uint32_t function; /* bus, slot and function */
	uint8_t window;	   /* the capability through which registers are reached */
	struct virtio_part common, notices, specific;
	uint32_t multiplier; /* of the places for notices */
};

/* The legacy layout for VIRTIO_QUEUE_MAX entries: two pages, one behind the other for a device. */
struct virtio_queue {
	uint8_t memory[2 * 4096] __attribute__((aligned(4096)));
	uint16_t index;	 /* which of the device's it is */
	uint16_t size;	 /* entries */
	uint16_t given;	 /* buffers that the device has got, ever */
	uint32_t notice; /* where to tell of a buffer, with virtio 1 on PCI */
};

/* Who may write a buffer. */
enum virtio_direction {
	VIRTIO_FOR_DEVICE = 0, /* the device reads it */
	VIRTIO_FROM_DEVICE = 2 /* the device may write it */
};

/* What is wrong with a device. */
enum virtio_error {
	VIRTIO_NONE = -1,     /* there is none */
	VIRTIO_UNUSABLE = -2, /* no interface that is known, or not the queues wanted */
	VIRTIO_SILENT = -3,   /* it does not answer */
};

/* How long a wait has lasted, in cycles. */
struct virtio_wait {
	uint64_t last, waited;
};

bool hak_virtio_wait(struct virtio_wait *wait);
int hak_virtio_find(struct virtio_device *device, unsigned kind, uintptr_t mmio, unsigned count);
int hak_virtio_begin(const struct virtio_device *device, uint32_t *features);
bool hak_virtio_offers(const struct virtio_device *device, uint32_t feature);
int hak_virtio_add_queue(const struct virtio_device *device, struct virtio_queue *queue,
			 unsigned index);
void hak_virtio_ready(const struct virtio_device *device);
void hak_virtio_fail(const struct virtio_device *device);
int hak_virtio_exchange(const struct virtio_device *device, struct virtio_queue *queue, void *base,
			size_t size, enum virtio_direction direction);
uint32_t hak_virtio_read_config(const struct virtio_device *device, unsigned offset);
void hak_virtio_write_config(const struct virtio_device *device, unsigned offset, uint32_t value);

#endif
