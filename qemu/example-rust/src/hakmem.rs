// SPDX-License-Identifier: MIT
//
// hakmem as the global allocator of a kernel in Rust: the functions that such a kernel needs, as
// machine.h, frames.h and hakmem.h declare them, and a GlobalAlloc over them. Copy this file.

use core::alloc::{GlobalAlloc, Layout};
use core::ffi::c_void;

/// What GS points to on each CPU: struct hak_cpu.
#[repr(C)]
pub struct Cpu {
    this: *mut Cpu,
    cache: *mut c_void,
    held: u32,
    id: u32,
}

impl Cpu {
    pub const fn new() -> Cpu {
        Cpu {
            this: core::ptr::null_mut(),
            cache: core::ptr::null_mut(),
            held: 0,
            id: 0,
        }
    }
}

/// struct hak_provider; only its address is used.
#[repr(C)]
pub struct Provider {
    _opaque: [u8; 0],
}

extern "C" {
    pub static hak_frames_provider: Provider;

    pub fn hak_console_init();
    pub fn hak_console_write(text: *const u8, length: usize);
    pub fn hak_cpu_init(cpu: *mut Cpu, id: u32);
    pub fn hak_region_add(base: usize, size: usize) -> i32;
    pub fn hak_init(provider: *const Provider) -> bool;
    pub fn hak_idle(budget: usize) -> bool;
    pub fn hak_check() -> *const u8;
    pub fn hak_frames_free() -> usize;

    /// An interrupt handler that allocates calls these; see machine.h.
    pub fn hak_interrupt_enter() -> *mut c_void;
    pub fn hak_interrupt_leave(previous: *mut c_void);

    fn hak_malloc(size: usize) -> *mut u8;
    fn hak_aligned_alloc(align: usize, size: usize) -> *mut u8;
    fn hak_zalloc_aligned(align: usize, size: usize) -> *mut u8;
    fn hak_realloc_aligned(block: *mut u8, align: usize, size: usize) -> *mut u8;
    fn hak_free_aligned_sized(block: *mut u8, align: usize, size: usize);
}

/// Blocks above 8 bytes are aligned to 16, and those up to 8 bytes to 8.
fn is_natural(layout: Layout) -> bool {
    layout.align() <= 8 || (layout.align() == 16 && layout.size() > 8)
}

pub struct Hakmem;

// SAFETY: the functions of hakmem.h promise what GlobalAlloc asks for. The size is never 0.
unsafe impl GlobalAlloc for Hakmem {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if is_natural(layout) {
            hak_malloc(layout.size())
        } else {
            hak_aligned_alloc(layout.align(), layout.size())
        }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        hak_free_aligned_sized(block, layout.align(), layout.size())
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        hak_zalloc_aligned(layout.align(), layout.size())
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        hak_realloc_aligned(block, layout.align(), size)
    }
}
