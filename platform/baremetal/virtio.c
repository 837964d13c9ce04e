/* SPDX-License-Identifier: MIT */
/*
 * Finding a virtio device and talking to it: the legacy interface, which the devices of
 * QEMU's pc (PCI) and microvm (memory-mapped) have, without interrupts. One buffer is
 * under way at a time, and the caller waits for it, because calls are rare and come from
 * an idle CPU.
 *
 *	buffers given  =  index of the available ring
 *	buffers back   =  index of the used ring, the same between two calls
 *
 * A device and its queues are the caller's, and so is the lock. hak_host_physical() says
 * where memory is for a device. The registers of a memory-mapped device are at the addresses
 * that the caller names.
 *
 * Failure: an error code. A device that keeps a buffer for longer than PATIENCE is reset,
 * since after a reset it may not touch the buffer any more, and the memory has other users.
 */
#include "virtio.h"

#include "machine.h"

#include <cpu.h>

#include <stdatomic.h>

#define PCI_ADDRESS    0xcf8
#define PCI_DATA       0xcfc
#define PCI_ENABLE     0x80000000u
#define PCI_DEVICES    32u
#define PCI_ID	       0x00
#define PCI_COMMAND    0x04
#define PCI_REVISION   0x08
#define PCI_BAR0       0x10
#define PCI_BAR_IS_IO  1u
#define PCI_SUBSYSTEM  0x2c
#define PCI_COMMAND_ON 0x405u /* I/O ports and bus mastering on, interrupts off */
#define VIRTIO_VENDOR  0x1af4u
#define PCI_FIRST_KIND 0x1000u /* to 0x103f: devices that have the legacy interface */
#define PCI_LAST_KIND  0x103fu
#define PCI_CONFIG     0x14

#define MMIO_STRIDE	   512u
#define MMIO_MAGIC	   0x000
#define MMIO_VERSION	   0x004
#define MMIO_KIND	   0x008
#define MMIO_FEATURES_PAGE 0x014
#define MMIO_WANTED_PAGE   0x024
#define MMIO_PAGE_SIZE	   0x028
#define MMIO_QUEUE_SIZE	   0x038
#define MMIO_QUEUE_ALIGN   0x03c
#define MMIO_CONFIG	   0x100
#define MMIO_IS_VIRTIO	   0x74726976u /* "virt" */
#define MMIO_LEGACY	   1u

#define PAGE_SIZE 4096u

#define STATUS_SEEN   1u
#define STATUS_DRIVER 2u
#define STATUS_READY  4u
#define STATUS_FAILED 128u

#define NO_INTERRUPT 1u /* in the available ring */

/*
 * How long a device may take for one buffer, in cycles: 4 s and more. Each step of the wait
 * counts for at most PATIENCE_STEP, so a machine that was stopped meanwhile has not waited.
 */
#define PATIENCE      ((uint64_t)1 << 34)
#define PATIENCE_STEP ((uint64_t)1 << 20)

/* The registers that both kinds have. */
enum reg { HOST_FEATURES, FEATURES, QUEUE_PAGE, QUEUE_SIZE, QUEUE_SELECT, QUEUE_NOTIFY, STATUS };

static const struct {
	uint16_t mmio; /* all of 32 bits */
	uint8_t port, bits;
} regs[] = {
	[HOST_FEATURES] = { 0x010, 0, 32 }, [FEATURES] = { 0x020, 4, 32 },
	[QUEUE_PAGE] = { 0x040, 8, 32 },    [QUEUE_SIZE] = { 0x034, 12, 16 },
	[QUEUE_SELECT] = { 0x030, 14, 16 }, [QUEUE_NOTIFY] = { 0x050, 16, 16 },
	[STATUS] = { 0x070, 18, 8 },
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

static uint32_t read_reg(const struct virtio_device *device, enum reg reg)
{
	uint16_t port = (uint16_t)(device->base + regs[reg].port);

	if (!device->pci)
		return mmio_read(device->base + regs[reg].mmio);
	if (regs[reg].bits == 32)
		return io_read32(port);
	return regs[reg].bits == 16 ? io_read16(port) : io_read8(port);
}

static void write_reg(const struct virtio_device *device, enum reg reg, uint32_t value)
{
	uint16_t port = (uint16_t)(device->base + regs[reg].port);

	if (!device->pci)
		mmio_write(device->base + regs[reg].mmio, value);
	else if (regs[reg].bits == 32)
		io_write32(port, value);
	else if (regs[reg].bits == 16)
		io_write16(port, (uint16_t)value);
	else
		io_write8(port, (uint8_t)value);
}

static uint32_t pci_read(unsigned slot, unsigned reg)
{
	io_write32(PCI_ADDRESS, PCI_ENABLE | slot << 11 | reg);
	return io_read32(PCI_DATA);
}

static void pci_write(unsigned slot, unsigned reg, uint32_t value)
{
	io_write32(PCI_ADDRESS, PCI_ENABLE | slot << 11 | reg);
	io_write32(PCI_DATA, value);
}

static bool has_pci(void)
{
	return pci_read(0, PCI_ID) != ~0u;
}

/* Only bus 0 is searched: no machine that boots here has its balloon behind a bridge. */
static int find_on_pci(struct virtio_device *device, unsigned kind)
{
	int error = VIRTIO_NONE;

	for (unsigned slot = 0; slot < PCI_DEVICES; slot++) {
		uint32_t id = pci_read(slot, PCI_ID), bar;

		if ((id & 0xffff) != VIRTIO_VENDOR)
			continue;
		if (id >> 16 == PCI_LAST_KIND + 1 + kind)
			error = VIRTIO_UNUSABLE; /* not legacy any more */
		if (id >> 16 < PCI_FIRST_KIND || id >> 16 > PCI_LAST_KIND ||
		    pci_read(slot, PCI_SUBSYSTEM) >> 16 != kind)
			continue;
		bar = pci_read(slot, PCI_BAR0);
		error = VIRTIO_UNUSABLE;
		if ((pci_read(slot, PCI_REVISION) & 0xff) || !(bar & PCI_BAR_IS_IO) || bar < 4)
			continue;
		pci_write(slot, PCI_COMMAND, PCI_COMMAND_ON);
		*device = (struct virtio_device){ .pci = true, .base = bar & 0xfffc };
		return 0;
	}
	return error;
}

static int find_in_memory(struct virtio_device *device, unsigned kind, uintptr_t mmio,
			  unsigned count)
{
	int error = VIRTIO_NONE;

	for (; count--; mmio += MMIO_STRIDE) {
		if (mmio_read(mmio + MMIO_MAGIC) != MMIO_IS_VIRTIO ||
		    mmio_read(mmio + MMIO_KIND) != kind)
			continue;
		error = VIRTIO_UNUSABLE;
		if (mmio_read(mmio + MMIO_VERSION) != MMIO_LEGACY)
			continue;
		*device = (struct virtio_device){ .base = mmio };
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

/* Reset the device and agree with it on some of @features, which are returned. */
uint32_t hak_virtio_begin(const struct virtio_device *device, uint32_t features)
{
	write_reg(device, STATUS, 0);
	write_reg(device, STATUS, STATUS_SEEN);
	write_reg(device, STATUS, STATUS_SEEN | STATUS_DRIVER);
	if (!device->pci) {
		mmio_write(device->base + MMIO_FEATURES_PAGE, 0);
		mmio_write(device->base + MMIO_WANTED_PAGE, 0);
		mmio_write(device->base + MMIO_PAGE_SIZE, PAGE_SIZE);
	}
	features &= read_reg(device, HOST_FEATURES);
	write_reg(device, FEATURES, features);
	return features;
}

bool hak_virtio_offers(const struct virtio_device *device, uint32_t feature)
{
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
	size = read_reg(device, QUEUE_SIZE);
	if (!device->pci && size > VIRTIO_QUEUE_MAX)
		size = VIRTIO_QUEUE_MAX; /* there it is the most, and can be less */
	if (!size || size > VIRTIO_QUEUE_MAX)
		return VIRTIO_UNUSABLE;
	queue->index = (uint16_t)index;
	queue->size = (uint16_t)size;
	available_of(queue)->flags = NO_INTERRUPT;
	if (!device->pci) {
		mmio_write(device->base + MMIO_QUEUE_SIZE, size);
		mmio_write(device->base + MMIO_QUEUE_ALIGN, PAGE_SIZE);
	}
	write_reg(device, QUEUE_PAGE, (uint32_t)(base / PAGE_SIZE));
	return 0;
}

void hak_virtio_ready(const struct virtio_device *device)
{
	write_reg(device, STATUS, STATUS_SEEN | STATUS_DRIVER | STATUS_READY);
}

void hak_virtio_fail(const struct virtio_device *device)
{
	write_reg(device, STATUS, STATUS_FAILED);
}

/* Has the device done with all that it was given? If it has not before long, it never will. */
static bool wait_for(const struct virtio_queue *queue, const struct used *used)
{
	uint64_t last = cpu_read_tsc(), now, waited = 0;

	/* acquire: what the device did to the buffer was done before */
	while (atomic_load_explicit(&used->index, memory_order_acquire) != queue->given) {
		if (waited > PATIENCE)
			return false;
		cpu_relax();
		now = cpu_read_tsc();
		waited += now - last < PATIENCE_STEP ? now - last : PATIENCE_STEP;
		last = now;
	}
	return true;
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
	write_reg(device, QUEUE_NOTIFY, queue->index);
	if (wait_for(queue, used_of(queue)))
		return 0;
	write_reg(device, STATUS, 0);
	return VIRTIO_SILENT;
}

/* 32 bits of what is of this kind of device only. */
uint32_t hak_virtio_read_config(const struct virtio_device *device, unsigned offset)
{
	if (device->pci)
		return io_read32((uint16_t)(device->base + PCI_CONFIG + offset));
	return mmio_read(device->base + MMIO_CONFIG + offset);
}

void hak_virtio_write_config(const struct virtio_device *device, unsigned offset, uint32_t value)
{
	if (device->pci)
		io_write32((uint16_t)(device->base + PCI_CONFIG + offset), value);
	else
		mmio_write(device->base + MMIO_CONFIG + offset, value);
}
