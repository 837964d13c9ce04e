// SPDX-License-Identifier: MIT
//
// A unikernel in Rust in miniature: hakmem is what Box, Vec and String are made of. It sees
// nothing but an installed copy of the library. It starts in start.S of the example in C, with
// the memory below 1 GiB mapped one to one.
#![no_std]

extern crate alloc;

mod hakmem;

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::panic::PanicInfo;
use core::ptr::addr_of_mut;

use hakmem::*;

#[global_allocator]
static GLOBAL: Hakmem = Hakmem;

static mut CPU: Cpu = Cpu::new();

const MIB: usize = 1 << 20;

fn print(text: &str) {
    unsafe { hak_console_write(text.as_ptr(), text.len()) }
}

/// QEMU's isa-debug-exit device: the status of the machine.
fn exit(status: u32) -> ! {
    unsafe {
        core::arch::asm!("out dx, eax", in("dx") 0xf4u16, in("eax") status + 16);
        loop {
            core::arch::asm!("hlt");
        }
    }
}

#[panic_handler]
fn panic(info: &PanicInfo) -> ! {
    print("panic");
    if let Some(location) = info.location() {
        print(" in ");
        print(location.file());
    }
    print("\n");
    exit(101)
}

/// Memory comes back when its owner ends, aligned or not, grown or not.
fn work() -> usize {
    #[repr(align(4096))]
    struct Page([u8; 4096]);

    let numbers: Vec<u64> = (0..200_000u64).map(|i| i * i).collect();
    let mut words: BTreeMap<u64, String> = BTreeMap::new();
    for number in numbers.iter().step_by(100) {
        words.insert(number % 1009, format!("{}", number));
    }
    let pages: Vec<Box<Page>> = (0..20).map(|i| Box::new(Page([i; 4096]))).collect();
    let zeros = vec![0u8; 3 * MIB];

    for (i, page) in pages.iter().enumerate() {
        assert!(page.0.as_ptr() as usize % 4096 == 0);
        assert!(page.0.iter().all(|&byte| byte == i as u8));
    }
    assert!(zeros.iter().all(|&byte| byte == 0));
    assert!(numbers[199_999] == 199_999 * 199_999);
    words.values().map(|word| word.len()).sum()
}

/// What an interrupt handler would do.
fn work_as_a_handler() {
    let previous = unsafe { hak_interrupt_enter() };
    drop(Box::new([1u8; 100]));
    unsafe { hak_interrupt_leave(previous) };
}

#[no_mangle]
pub extern "C" fn kernel_main() -> ! {
    unsafe {
        hak_console_init();
        hak_cpu_init(addr_of_mut!(CPU), 0);
        assert!(hak_region_add(4 * MIB, 60 * MIB) == 0);
    }
    let free = unsafe { hak_frames_free() };

    assert!(unsafe { hak_init(&hak_frames_provider) });
    let letters = work();
    work_as_a_handler();
    assert!(work() == letters);
    unsafe {
        assert!(hak_check().is_null());
        while hak_idle(8) {}
    }
    print(&format!(
        "{} letters; {} of {} frames are free again\n",
        letters,
        unsafe { hak_frames_free() },
        free
    ));
    exit(0)
}

/// Where core was compiled for unwinding, it asks for these, and never calls them.
#[cfg(not(target_os = "none"))]
mod unwinding {
    #[no_mangle]
    extern "C" fn rust_eh_personality() {}

    #[no_mangle]
    extern "C" fn _Unwind_Resume() -> ! {
        panic!()
    }
}
