/* SPDX-License-Identifier: MIT */
/*
 * Finding a virtio device and talking to it, without interrupts: over PCI and over
 * memory-mapped registers, by the legacy interface of each or by that of virtio 1. A device
 * on PCI that has both is used by the legacy one. One buffer is
 * under way at a time, and the caller waits for it, because calls are rare and come from
 * an idle CPU.
 *
 *	buffers given  =  index of the available ring
 *	buffers back   =  index of the used ring, the same between two calls
 *
 * A device and its queues are the caller's, and so is the lock. hak_host_physical() says
 * where memory is for a device. The registers of a memory-mapped device are at the addresses
 * that the caller names. Those of virtio 1 on PCI are in memory that a kernel may not have
 * mapped, so they are reached through the window that such a device has in its
 * configuration space (VIRTIO_PCI_CAP_PCI_CFG). hak_host_pci_read() and hak_host_pci_write()
 * access that.
 *
 * Failure: an error code. A device that keeps a buffer for longer than PATIENCE is reset,
 * since after a reset it may not touch the buffer any more, and the memory has other users.
 */
#include "virtio.h"

#include "machine.h"

#include <cpu.h>

#include <stdatomic.h>

#define PCI_DEVICES    32u
#define PCI_FUNCTIONS  8u
#define PCI_ID	       0x00
#define PCI_COMMAND    0x04
#define PCI_REVISION   0x08
#define PCI_HEADER     0x0c /* its kind in the third byte */
#define PCI_BAR0       0x10
#define PCI_BUSES      0x18 /* of a bridge: that behind it in the second byte */
#define PCI_BAR_IS_IO  1u
#define PCI_SUBSYSTEM  0x2c
#define PCI_LISTED     0x34   /* where the list of capabilities begins */
#define PCI_COMMAND_ON 0x407u /* ports, memory and bus mastering on, interrupts off */
#define PCI_IS_BRIDGE  0x010000u
#define PCI_HAS_MORE   0x800000u /* functions */
#define VIRTIO_VENDOR  0x1af4u
#define PCI_FIRST_KIND 0x1000u /* to 0x103f: devices that have the legacy interface */
#define PCI_LAST_KIND  0x103fu
#define PCI_CONFIG     0x14

/* A capability of virtio 1: 9, the next, its length and type; then these. */
#define CAP_VENDOR     9u
#define CAP_BAR	       4u
#define CAP_OFFSET     8u
#define CAP_LENGTH     12u
#define CAP_DATA       16u /* of the window */
#define CAP_MULTIPLIER 16u /* of the place for notices */
#define CAP_COMMON     1u
#define CAP_NOTICES    2u
#define CAP_SPECIFIC   4u
#define CAP_WINDOW     5u

#define MMIO_STRIDE	 512u
#define MMIO_MAGIC	 0x000
#define MMIO_VERSION	 0x004
#define MMIO_KIND	 0x008
#define MMIO_PAGE_SIZE	 0x028
#define MMIO_QUEUE_ALIGN 0x03c
#define MMIO_QUEUE_PAGE	 0x040
#define MMIO_CONFIG	 0x100
#define MMIO_IS_VIRTIO	 0x74726976u /* "virt" */
#define MMIO_LEGACY	 1u
#define MMIO_VIRTIO_1	 2u

#define PAGE_SIZE 4096u

#define STATUS_SEEN   1u
#define STATUS_DRIVER 2u
#define STATUS_READY  4u
#define STATUS_AGREED 8u
#define STATUS_FAILED 128u

/* In the second word of features: it is virtio 1; it may need addresses of the platform. */
#define FEATURE_VIRTIO_1 1u
#define FEATURE_PLATFORM 2u

#define NO_INTERRUPT 1u /* in the available ring */

/*
 * How long a device may take for one buffer, in cycles: 4 s and more. Each step of the wait
 * counts for at most PATIENCE_STEP, so a machine that was stopped meanwhile has not waited.
 */
#define PATIENCE      ((uint64_t)1 << 34)
#define PATIENCE_STEP ((uint64_t)1 << 20)

/*
 * The registers: where they are in memory, among the ports, and in the structure of virtio 1 on
 * PCI, and how many bits they have in the latter two.
 */
enum reg {
	HOST_FEATURES,
	HOST_FEATURES_WORD,
	FEATURES,
	FEATURES_WORD,
	QUEUE_PAGE,
	QUEUE_MOST,
	QUEUE_SIZE,
	QUEUE_SELECT,
	QUEUE_NOTIFY,
	QUEUE_NOTICE,
	QUEUE_ENABLE,
	QUEUE_DESCRIPTORS,
	QUEUE_AVAILABLE,
	QUEUE_USED,
	STATUS
};

static const struct {
	uint16_t mmio; /* all of 32 bits */
	uint8_t port, common, bits;
} regs[] = {
	[HOST_FEATURES] = { 0x010, 0, 4, 32 },	  [HOST_FEATURES_WORD] = { 0x014, 0, 0, 32 },
	[FEATURES] = { 0x020, 4, 12, 32 },	  [FEATURES_WORD] = { 0x024, 0, 8, 32 },
	[QUEUE_PAGE] = { 0x040, 8, 0, 32 },	  [QUEUE_MOST] = { 0x034, 12, 24, 16 },
	[QUEUE_SIZE] = { 0x038, 12, 24, 16 },	  [QUEUE_SELECT] = { 0x030, 14, 22, 16 },
	[QUEUE_NOTIFY] = { 0x050, 16, 0, 16 },	  [QUEUE_NOTICE] = { 0, 0, 30, 16 },
	[QUEUE_ENABLE] = { 0x044, 0, 28, 16 },	  [QUEUE_DESCRIPTORS] = { 0x080, 0, 32, 32 },
	[QUEUE_AVAILABLE] = { 0x090, 0, 40, 32 }, [QUEUE_USED] = { 0x0a0, 0, 48, 32 },
	[STATUS] = { 0x070, 18, 20, 8 },
};

struct descriptor {
	uint64_t base;
	uint32_t size;
	uint16_t flags, next;
};

/* Followed by the index of a descriptor for each entry, which is 0 here. */
struct available {
	uint16_t flags;
	_Atomic uint16_t index;
};

/* Followed by what has been used, which is known here. */
struct used {
	uint16_t flags;
	_Atomic uint16_t index;
};

static uint32_t mmio_read(uintptr_t address)
{
	return *(volatile uint32_t *)address;
}

static void mmio_write(uintptr_t address, uint32_t value)
{
	*(volatile uint32_t *)address = value;
}

static uint32_t pci_read(uint32_t function, unsigned reg)
{
	return hak_host_pci_read(function, reg & 0xfc, 32);
}

static void pci_write(uint32_t function, unsigned reg, uint32_t value)
{
	hak_host_pci_write(function, reg & 0xfc, 32, value);
}

/* Let the window show @bits at @offset of a part of the device. */
static void window(const struct virtio_device *device, const struct virtio_part *part,
		   unsigned offset, unsigned bits)
{
	pci_write(device->function, device->window + CAP_BAR, part->bar);
	pci_write(device->function, device->window + CAP_OFFSET, part->offset + offset);
	pci_write(device->function, device->window + CAP_LENGTH, bits / 8);
}

static uint32_t part_read(const struct virtio_device *device, const struct virtio_part *part,
			  unsigned offset, unsigned bits)
{
	window(device, part, offset, bits);
	return hak_host_pci_read(device->function, device->window + CAP_DATA, bits);
}

static void part_write(const struct virtio_device *device, const struct virtio_part *part,
		       unsigned offset, unsigned bits, uint32_t value)
{
	window(device, part, offset, bits);
	hak_host_pci_write(device->function, device->window + CAP_DATA, bits, value);
}

static bool is_legacy(const struct virtio_device *device)
{
	return device->interface == VIRTIO_PORTS || device->interface == VIRTIO_MEMORY;
}

static uint32_t read_reg(const struct virtio_device *device, enum reg reg)
{
	if (device->interface == VIRTIO_PORTS)
		return io_read((uint16_t)(device->base + regs[reg].port), regs[reg].bits);
	if (device->interface == VIRTIO_PCI_1)
		return part_read(device, &device->common, regs[reg].common, regs[reg].bits);
	return mmio_read(device->base + regs[reg].mmio);
}

/* @above: how many bytes behind it; for the upper half of an address */
static void write_reg_above(const struct virtio_device *device, enum reg reg, unsigned above,
			    uint32_t value)
{
	if (device->interface == VIRTIO_PORTS)
		io_write((uint16_t)(device->base + regs[reg].port), regs[reg].bits, value);
	else if (device->interface == VIRTIO_PCI_1)
		part_write(device, &device->common, regs[reg].common + above, regs[reg].bits,
			   value);
	else
		mmio_write(device->base + regs[reg].mmio + above, value);
}

static void write_reg(const struct virtio_device *device, enum reg reg, uint32_t value)
{
	write_reg_above(device, reg, 0, value);
}

static void write_address(const struct virtio_device *device, enum reg reg, const void *memory)
{
	uint64_t address = hak_host_physical(memory);

	write_reg_above(device, reg, 0, (uint32_t)address);
	write_reg_above(device, reg, 4, (uint32_t)(address >> 32));
}

static bool has_pci(void)
{
	return pci_read(0, PCI_ID) != ~0u;
}

/* The registers of virtio 1, by the capabilities of a device. Has it all that is needed? */
static bool find_parts(struct virtio_device *device)
{
	unsigned cap = pci_read(device->function, PCI_LISTED) & 0xfc;

	/* a list that runs in circles ends, too */
	for (unsigned i = 0; cap && i < 64; i++) {
		uint32_t head = pci_read(device->function, cap);
		struct virtio_part part = {
			.bar = (uint8_t)pci_read(device->function, cap + CAP_BAR),
			.offset = pci_read(device->function, cap + CAP_OFFSET),
			.found = true,
		};

		if ((head & 0xff) == CAP_VENDOR) {
			unsigned type = head >> 24;

			if (type == CAP_COMMON && !device->common.found)
				device->common = part;
			if (type == CAP_SPECIFIC && !device->specific.found)
				device->specific = part;
			if (type == CAP_WINDOW)
				device->window = (uint8_t)cap;
			if (type == CAP_NOTICES && !device->notices.found) {
				device->notices = part;
				device->multiplier =
					pci_read(device->function, cap + CAP_MULTIPLIER);
			}
		}
		cap = head >> 8 & 0xfc;
	}
	return device->common.found && device->specific.found && device->notices.found &&
	       device->window;
}

/* One function: VIRTIO_NONE if it is no device of this @kind. */
static int find_function(struct virtio_device *device, unsigned kind, uint32_t function)
{
	uint32_t id = pci_read(function, PCI_ID), bar = pci_read(function, PCI_BAR0);
	bool legacy = id >> 16 >= PCI_FIRST_KIND && id >> 16 <= PCI_LAST_KIND;

	if ((id & 0xffff) != VIRTIO_VENDOR ||
	    (legacy ? pci_read(function, PCI_SUBSYSTEM) >> 16 != kind
		    : id >> 16 != PCI_LAST_KIND + 1 + kind))
		return VIRTIO_NONE;
	*device = (struct virtio_device){ .interface = VIRTIO_PCI_1, .function = function };
	if (legacy && !(pci_read(function, PCI_REVISION) & 0xff) && bar & PCI_BAR_IS_IO &&
	    bar >= 4) {
		device->interface = VIRTIO_PORTS;
		device->base = bar & 0xfffc;
	} else if (!find_parts(device)) {
		return VIRTIO_UNUSABLE;
	}
	pci_write(function, PCI_COMMAND, PCI_COMMAND_ON);
	return 0;
}

/* All buses that the firmware has given numbers, from bus 0 on. */
static int find_on_pci(struct virtio_device *device, unsigned kind)
{
	uint8_t buses[256] = { 0 }; /* the n-th to be searched; a bridge counts upwards */
	unsigned nr_buses = 1;
	int error = VIRTIO_NONE, found;

	for (unsigned i = 0; i < nr_buses; i++)
		for (uint32_t at = 0; at < PCI_DEVICES * PCI_FUNCTIONS; at++) {
			uint32_t function = (uint32_t)buses[i] << 16 | at << 8, header;

			if ((pci_read(function, PCI_ID) & 0xffff) == 0xffff) {
				if (at % PCI_FUNCTIONS == 0)
					at += PCI_FUNCTIONS - 1;
				continue;
			}
			header = pci_read(function, PCI_HEADER);
			if ((header & 0x7f0000) == PCI_IS_BRIDGE) {
				uint32_t behind = pci_read(function, PCI_BUSES) >> 8 & 0xff;

				if (behind > buses[i] && nr_buses < 256)
					buses[nr_buses++] = (uint8_t)behind;
			} else {
				found = find_function(device, kind, function);
				if (!found)
					return 0;
				if (found == VIRTIO_UNUSABLE)
					error = found;
			}
			if (at % PCI_FUNCTIONS == 0 && !(header & PCI_HAS_MORE))
				at += PCI_FUNCTIONS - 1;
		}
	return error;
}

static int find_in_memory(struct virtio_device *device, unsigned kind, uintptr_t mmio,
			  unsigned count)
{
	int error = VIRTIO_NONE;
	uint32_t version;

	for (; count--; mmio += MMIO_STRIDE) {
		if (mmio_read(mmio + MMIO_MAGIC) != MMIO_IS_VIRTIO ||
		    mmio_read(mmio + MMIO_KIND) != kind)
			continue;
		error = VIRTIO_UNUSABLE;
		version = mmio_read(mmio + MMIO_VERSION);
		if (version != MMIO_LEGACY && version != MMIO_VIRTIO_1)
			continue;
		*device = (struct virtio_device){
			.interface = version == MMIO_LEGACY ? VIRTIO_MEMORY : VIRTIO_MEMORY_1,
			.base = mmio,
		};
		return 0;
	}
	return error;
}

/**
 * hak_virtio_find() - find a device
 * @kind:  VIRTIO_*
 * @mmio:  where to search on a machine without PCI: the first of
 * @count: windows of 512 bytes; may be 0
 *
 * With PCI, nothing is read there: it might be some other device.
 * Returns 0 or an enum virtio_error.
 */
int hak_virtio_find(struct virtio_device *device, unsigned kind, uintptr_t mmio, unsigned count)
{
	return has_pci() ? find_on_pci(device, kind) : find_in_memory(device, kind, mmio, count);
}

/**
 * hak_virtio_wait() - a step of a wait
 * @wait: zeroed before the first one
 *
 * Returns false if it has lasted too long.
 */
bool hak_virtio_wait(struct virtio_wait *wait)
{
	uint64_t now = cpu_read_tsc(), step = now - wait->last;

	if (wait->last)
		wait->waited += step < PATIENCE_STEP ? step : PATIENCE_STEP;
	wait->last = now;
	cpu_relax();
	return wait->waited <= PATIENCE;
}

static bool reset(const struct virtio_device *device)
{
	struct virtio_wait wait = { 0 };

	write_reg(device, STATUS, 0);
	while (read_reg(device, STATUS))
		if (!hak_virtio_wait(&wait))
			return false;
	return true;
}

/* With virtio 1: that it is virtio 1, and that addresses are those of the platform. */
static bool agree_on_version(const struct virtio_device *device)
{
	uint32_t features;

	write_reg(device, HOST_FEATURES_WORD, 1);
	features = read_reg(device, HOST_FEATURES) & (FEATURE_VIRTIO_1 | FEATURE_PLATFORM);
	write_reg(device, FEATURES_WORD, 1);
	write_reg(device, FEATURES, features);
	write_reg(device, STATUS, STATUS_SEEN | STATUS_DRIVER | STATUS_AGREED);
	return features & FEATURE_VIRTIO_1 && read_reg(device, STATUS) & STATUS_AGREED;
}

/**
 * hak_virtio_begin() - reset the device, and agree with it on features
 * @features: which of the lowest 32; set to those that the device has, too
 *
 * Returns 0 or an enum virtio_error.
 */
int hak_virtio_begin(const struct virtio_device *device, uint32_t *features)
{
	bool is_memory = device->interface == VIRTIO_MEMORY || device->interface == VIRTIO_MEMORY_1;

	if (!reset(device))
		return VIRTIO_SILENT;
	write_reg(device, STATUS, STATUS_SEEN);
	write_reg(device, STATUS, STATUS_SEEN | STATUS_DRIVER);
	if (is_memory || !is_legacy(device)) {
		write_reg(device, HOST_FEATURES_WORD, 0);
		write_reg(device, FEATURES_WORD, 0);
	}
	if (device->interface == VIRTIO_MEMORY)
		mmio_write(device->base + MMIO_PAGE_SIZE, PAGE_SIZE);
	*features &= read_reg(device, HOST_FEATURES);
	write_reg(device, FEATURES, *features);
	return is_legacy(device) || agree_on_version(device) ? 0 : VIRTIO_UNUSABLE;
}

/* One of the lowest 32. */
bool hak_virtio_offers(const struct virtio_device *device, uint32_t feature)
{
	if (device->interface != VIRTIO_PORTS)
		write_reg(device, HOST_FEATURES_WORD, 0);
	return read_reg(device, HOST_FEATURES) & feature;
}

static struct descriptor *descriptor_of(struct virtio_queue *queue)
{
	return (struct descriptor *)queue->memory;
}

static struct available *available_of(struct virtio_queue *queue)
{
	return (struct available *)(queue->memory + queue->size * sizeof(struct descriptor));
}

/* On the next page. */
static struct used *used_of(struct virtio_queue *queue)
{
	size_t end = queue->size * (sizeof(struct descriptor) + sizeof(uint16_t)) + 6;

	return (struct used *)(queue->memory + (end + PAGE_SIZE - 1) / PAGE_SIZE * PAGE_SIZE);
}

/**
 * hak_virtio_add_queue() - set up a queue, between begin and ready
 * @queue: zeroed, and there for as long as the device is
 * @index: its number with the device
 *
 * Returns 0 or VIRTIO_UNUSABLE.
 */
int hak_virtio_add_queue(const struct virtio_device *device, struct virtio_queue *queue,
			 unsigned index)
{
	uint64_t base = hak_host_physical(queue->memory);
	uint32_t size;

	if (hak_host_physical(queue->memory + PAGE_SIZE) != base + PAGE_SIZE ||
	    base / PAGE_SIZE > UINT32_MAX)
		return VIRTIO_UNUSABLE;
	write_reg(device, QUEUE_SELECT, index);
	size = read_reg(device, QUEUE_MOST);
	if (device->interface != VIRTIO_PORTS && size > VIRTIO_QUEUE_MAX)
		size = VIRTIO_QUEUE_MAX; /* there it is the most, and can be less */
	if (!size || size > VIRTIO_QUEUE_MAX)
		return VIRTIO_UNUSABLE;
	queue->index = (uint16_t)index;
	queue->size = (uint16_t)size;
	queue->given = 0;
	used_of(queue)->index = 0;
	available_of(queue)->index = 0;
	available_of(queue)->flags = NO_INTERRUPT;
	if (device->interface != VIRTIO_PORTS)
		write_reg(device, QUEUE_SIZE, size);
	if (device->interface == VIRTIO_MEMORY)
		mmio_write(device->base + MMIO_QUEUE_ALIGN, PAGE_SIZE);
	if (is_legacy(device)) {
		write_reg(device, QUEUE_PAGE, (uint32_t)(base / PAGE_SIZE));
		return 0;
	}
	write_address(device, QUEUE_DESCRIPTORS, descriptor_of(queue));
	write_address(device, QUEUE_AVAILABLE, available_of(queue));
	write_address(device, QUEUE_USED, used_of(queue));
	if (device->interface == VIRTIO_PCI_1)
		queue->notice = read_reg(device, QUEUE_NOTICE) * device->multiplier;
	write_reg(device, QUEUE_ENABLE, 1);
	return 0;
}

void hak_virtio_ready(const struct virtio_device *device)
{
	write_reg(device, STATUS,
		  STATUS_SEEN | STATUS_DRIVER | STATUS_READY |
			  (is_legacy(device) ? 0 : STATUS_AGREED));
}

void hak_virtio_fail(const struct virtio_device *device)
{
	write_reg(device, STATUS, STATUS_FAILED);
}

/* Has the device done with all that it was given? If it has not before long, it never will. */
static bool wait_for(const struct virtio_queue *queue, const struct used *used)
{
	struct virtio_wait wait = { 0 };

	/* acquire: what the device did to the buffer was done before */
	while (atomic_load_explicit(&used->index, memory_order_acquire) != queue->given)
		if (!hak_virtio_wait(&wait))
			return false;
	return true;
}

static void notify(const struct virtio_device *device, const struct virtio_queue *queue)
{
	if (device->interface == VIRTIO_PCI_1)
		part_write(device, &device->notices, queue->notice, 16, queue->index);
	else
		write_reg(device, QUEUE_NOTIFY, queue->index);
}

/**
 * hak_virtio_exchange() - let the device have a buffer, and wait until it has done with it
 * @base: the buffer, whose @size bytes are in one piece for a device; @size is not 0
 *
 * Returns 0; or VIRTIO_SILENT after some seconds: then the device has been reset, and is of no
 * use any more.
 */
int hak_virtio_exchange(const struct virtio_device *device, struct virtio_queue *queue, void *base,
			size_t size, enum virtio_direction direction)
{
	*descriptor_of(queue) = (struct descriptor){
		.base = hak_host_physical(base),
		.size = (uint32_t)size,
		.flags = (uint16_t)direction,
	};
	queue->given++;
	/* release: the device reads the descriptor, and the buffer, after it */
	atomic_store_explicit(&available_of(queue)->index, queue->given, memory_order_release);
	atomic_thread_fence(memory_order_seq_cst);
	notify(device, queue);
	if (wait_for(queue, used_of(queue)))
		return 0;
	reset(device);
	return VIRTIO_SILENT;
}

/* 32 bits of what is of this kind of device only. */
uint32_t hak_virtio_read_config(const struct virtio_device *device, unsigned offset)
{
	if (device->interface == VIRTIO_PORTS)
		return io_read32((uint16_t)(device->base + PCI_CONFIG + offset));
	if (device->interface == VIRTIO_PCI_1)
		return part_read(device, &device->specific, offset, 32);
	return mmio_read(device->base + MMIO_CONFIG + offset);
}

void hak_virtio_write_config(const struct virtio_device *device, unsigned offset, uint32_t value)
{
	if (device->interface == VIRTIO_PORTS)
		io_write32((uint16_t)(device->base + PCI_CONFIG + offset), value);
	else if (device->interface == VIRTIO_PCI_1)
		part_write(device, &device->specific, offset, 32, value);
	else
		mmio_write(device->base + MMIO_CONFIG + offset, value);
}
