# SPDX-License-Identifier: MIT
#
# All suites, in tables, and the builds that they need; included by the Makefile.

# A suite is a line "NAME [SECONDS]: COMMAND" for tests/run.sh. SECONDS is ten times what
# it takes alone, and at least 60, or 600 if it is not given. It gets three times as long, since a
# machine that tests may be busy.
#
# So many suites run at once, and so many compilers, unless `make -jN` says how many.
JOBS ?= 2
RUN := tests/run.sh -d $(O)/test-logs -x 3 -j $(call number,JOBS)
BUILDERS = $(if $(filter -j%,$(MAKEFLAGS)),,-j$(call number,JOBS))

# The same programs built otherwise, each in a directory of its own.
DEBUG_BUILD  := $(MAKE) O=$(O)/debug DEBUG=1 SAN=
ASAN_BUILD   := $(MAKE) O=$(O)/asan DEBUG=1 SAN=address
UBSAN_BUILD  := $(MAKE) O=$(O)/ubsan DEBUG=1 SAN=undefined
TSAN_BUILD   := $(MAKE) O=$(O)/tsan DEBUG= SAN=thread
IRQSAVE_BUILD := $(MAKE) O=$(O)/irqsave CONFIG_HAK_IRQSAVE=y CONFIG_HAK_MOVE=y DEBUG= SAN=
IRQSAVE      := $(O)/irqsave/baremetal
UPPER_BUILD  := $(MAKE) O=$(O)/upper BM_FLAGS=-mcmodel=kernel DEBUG= SAN=
UPPER        := $(O)/upper/baremetal
PIE_OPTIONS  := O=$(O)/pie BM_FLAGS=-fpie HAK_CPU_AT=0x28 DEBUG= SAN=
PIE_BUILD    := $(MAKE) $(PIE_OPTIONS)
PIE          := $(O)/pie/baremetal
WINDOW_OPTIONS := O=$(O)/window BM_FLAGS=-mcmodel=kernel CONFIG_HAK_WINDOW=y DEBUG= SAN=
WINDOW_BUILD := $(MAKE) $(WINDOW_OPTIONS)
WINDOW       := $(O)/window/baremetal
FAR_BUILD    := $(MAKE) O=$(O)/far BM_FLAGS=-mcmodel=kernel HAK_ADDRESS_BITS=40 DEBUG= SAN=
FAR          := $(O)/far/baremetal
ONLY_CPU_BUILD := $(MAKE) O=$(O)/only-cpu BM_FLAGS='-mcmodel=kernel -Itests/qemu/only_cpu' \
		  CONFIG_HAK_CPU_HEADER=y DEBUG= SAN=
ONLY_CPU     := $(O)/only-cpu/baremetal
LARGE_BUILD  := $(MAKE) O=$(O)/large CONFIG_HAK_LARGE=y DEBUG= SAN=
LARGE        := $(O)/large/baremetal
MANY_BUILD   := $(MAKE) O=$(O)/many BM_FLAGS=-DBOOT_MAX_CPUS=64 DEBUG= SAN=
MANY_RUN     := qemu/run.sh $(O)/many/baremetal/smp-cost.elf --machine pc --memory 1G --icount
NANOS_BUILD  := $(MAKE) O=$(O)/nanos BM_FLAGS=-fpie HAK_CPU_AT=40 CONFIG_HAK_WINDOW=y \
		CONFIG_HAK_IRQSAVE=y DEBUG= SAN=
NANOS        := $(O)/nanos/baremetal
SOLO5_BUILD  := $(MAKE) O=$(O)/solo5 BM_FLAGS=-Iplatform/solo5 CONFIG_HAK_CPU_HEADER=y DEBUG= SAN=
SOLO5        := $(O)/solo5/baremetal
HARDENED_OPTIONS := O=$(O)/hard CONFIG_HAK_HARDENED=y SAN=
HARDENED_BUILD := $(MAKE) $(HARDENED_OPTIONS) DEBUG=
HARDENED_PROGRAMS := unit model fault stress full crimes
HARDENED_IMAGES := unit model smp crimes-image
GAPS_BUILD   := $(MAKE) O=$(O)/gaps GAPS=1 DEBUG= SAN=
GAPS_TSAN_BUILD := $(MAKE) O=$(O)/gaps-tsan GAPS=1 DEBUG= SAN=thread
GAPS_DEBUG_BUILD := $(MAKE) O=$(O)/gaps-debug GAPS=1 DEBUG=1 SAN=
CLANG_BUILD  := $(MAKE) O=$(O)/clang LLVM=1 CC=clang DEBUG= SAN=
LTO_BUILD    := $(MAKE) O=$(O)/lto BM_FLAGS=-flto DEBUG= SAN=
LTO          := $(O)/lto/baremetal
CLANG_LTO_BUILD := $(MAKE) O=$(O)/clang-lto LLVM=1 CC=clang BM_FLAGS=-flto DEBUG= SAN=
CLANG_LTO    := $(O)/clang-lto/baremetal
CLANG_LTO_CHECK := tests/qemu/check-lto.sh $(CLANG_LTO)/libhakmem.a $(CLANG_LTO)/scaling.elf \
		   clang --target=x86_64-unknown-none-elf
BARE_FLAGS   := BM_FLAGS='-nostdinc -idirafter platform/baremetal/headers'
BARE_BUILD   := $(MAKE) O=$(O)/nostdinc $(BARE_FLAGS) DEBUG= SAN=
CLANG_BARE_BUILD := $(MAKE) O=$(O)/clang-nostdinc LLVM=1 CC=clang $(BARE_FLAGS) DEBUG= SAN=

# What letters of a debug build find.
LETTERS_MODEL := $(O)/debug/linux/model --letters FZPU

# With gap blocks, as on bare metal: what is to be tested of them on Linux.
GAPS_PROGRAMS := unit model fault full death

test-tools: TOOLS := gcc g++ clang ld.lld llvm-ar clang-format valgrind qemu-system-x86_64 xz gdb \
		     musl-gcc pkg-config mandoc man spin cmake codespell python3
lint-tools: TOOLS := gcc g++ clang-format mandoc codespell
format-tools: TOOLS := clang-format
test-tools lint-tools format-tools:
	@for tool in $(TOOLS); do command -v $$tool >/dev/null || \
		{ echo "no $$tool: run 'make setup-test'" >&2; exit 1; }; done

test-builds: test-tools
	+@$(MAKE) $(BUILDERS) test-programs
test-programs: linux baremetal linux-programs bench-programs images $(B)/newlib.elf kit
	+@$(DEBUG_BUILD) linux linux-programs $(O)/debug/linux/letters
	+@$(ASAN_BUILD) linux-programs
	+@$(UBSAN_BUILD) linux-programs
	+@$(TSAN_BUILD) linux-programs
	+@$(HARDENED_BUILD) $(addprefix $(O)/hard/linux/,$(HARDENED_PROGRAMS))
	+@$(GAPS_BUILD) $(addprefix $(O)/gaps/linux/,$(GAPS_PROGRAMS))
	+@$(GAPS_DEBUG_BUILD) $(addprefix $(O)/gaps-debug/linux/,$(GAPS_PROGRAMS))
	+@$(GAPS_TSAN_BUILD) $(O)/gaps-tsan/linux/full
	+@$(CLANG_BUILD) linux baremetal linux-programs images
	+@$(MAKE) qemu-builds
# What the suites in QEMU need of builds that are made otherwise.
qemu-builds:
	+@$(DEBUG_BUILD) $(addprefix $(O)/debug/baremetal/,smp.elf status.elf last-resort.elf \
		letters-image.elf)
	+@$(IRQSAVE_BUILD) $(addprefix $(IRQSAVE)/,unit.elf model.elf smp.elf preempt.elf \
		stack.elf last-resort.elf pools.elf latency.elf)
	+@$(HARDENED_BUILD) $(HARDENED_IMAGES:%=$(O)/hard/baremetal/%.elf)
	+@$(UPPER_BUILD) $(UPPER)/upper.elf
	+@$(PIE_BUILD) $(addprefix $(PIE)/,upper.elf scaling.elf cpu-at.elf)
	+@$(WINDOW_BUILD) $(WINDOW)/window.elf $(O)/window/linux/unit
	+@$(FAR_BUILD) $(FAR)/window.elf
	+@$(ONLY_CPU_BUILD) $(ONLY_CPU)/only_cpu.elf
	+@$(LARGE_BUILD) $(addprefix $(LARGE)/,unit.elf pair.elf)
	+@$(NANOS_BUILD) $(NANOS)/nanos.elf
	+@$(SOLO5_BUILD) $(SOLO5)/solo5.elf
	+@$(LTO_BUILD) $(LTO)/scaling.elf
	+@$(CLANG_LTO_BUILD) $(CLANG_LTO)/scaling.elf
	+@$(BARE_BUILD) $(O)/nostdinc/baremetal/smp.elf
	+@$(CLANG_BARE_BUILD) $(O)/clang-nostdinc/baremetal/smp.elf

# What runs in QEMU.
MODEL_RUN := qemu/run.sh $(B)/model.elf --memory 256M
SMP_RUN := qemu/run.sh $(B)/smp.elf --memory 40M
SOAK_RUN := qemu/run.sh $(B)/soak.elf
PARTS_RUN := qemu/run.sh $(B)/parts.elf
LARGEST_RUN := qemu/run.sh $(B)/largest.elf
LAST_RESORT_RUN := qemu/run.sh $(B)/last-resort.elf
PREEMPT_RUN := qemu/run.sh $(IRQSAVE)/preempt.elf
PRESSURE_RUN := qemu/run.sh $(B)/pressure.elf --memory 64M
MEMORY_RUN := qemu/run.sh $(B)/memory-map.elf
# Memory at 100 GiB, on a machine that has little else.
DIMM := --machine pc --memory 128M,slots=1,maxmem=128G --qemu '-object \
	memory-backend-ram,id=m,size=256M -device pc-dimm,memdev=m,addr=0x1900000000' -- dimm
define QEMU_SUITES
qemu-unit 240: qemu/run.sh $(B)/unit.elf
qemu-unit-pc 240: qemu/run.sh $(B)/unit.elf --machine pc
qemu-model 60: $(MODEL_RUN)
qemu-fault 150: qemu/run.sh $(B)/fault.elf
qemu-unit-smp-2 240: qemu/run.sh $(B)/unit.elf --smp 2
qemu-unit-smp-8-pc 240: qemu/run.sh $(B)/unit.elf --smp 8 --machine pc
qemu-unit-smp-4-icount 420: qemu/run.sh $(B)/unit.elf --smp 4 --icount
qemu-model-smp-4 60: $(MODEL_RUN) --smp 4
qemu-model-smp-8-pc-icount 60: $(MODEL_RUN) --smp 8 --machine pc --icount
qemu-fault-smp-4-pc 240: qemu/run.sh $(B)/fault.elf --smp 4 --machine pc
qemu-samples 60: qemu/run.sh $(B)/samples.elf
qemu-guard 60: qemu/run.sh $(B)/guard-image.elf
qemu-guard-pc 60: qemu/run.sh $(B)/guard-image.elf --machine pc
qemu-hardened-unit 240: qemu/run.sh $(O)/hard/baremetal/unit.elf
qemu-hardened-model 60: qemu/run.sh $(O)/hard/baremetal/model.elf --memory 256M
qemu-hardened-smp-2 60: qemu/run.sh $(O)/hard/baremetal/smp.elf --memory 48M --smp 2 -- --cpus 2
qemu-crimes 60: qemu/run.sh $(O)/hard/baremetal/crimes-image.elf
qemu-crimes-pc 60: qemu/run.sh $(O)/hard/baremetal/crimes-image.elf --machine pc
qemu-letters 60: qemu/run.sh $(O)/debug/baremetal/letters-image.elf
qemu-profile 60: tests/qemu/check-profile.sh $(B)/profile.elf
qemu-smp-1 60: $(SMP_RUN) -- --cpus 1
qemu-smp-2-icount 60: $(SMP_RUN) --smp 2 --icount -- --cpus 2
qemu-smp-4 120: $(SMP_RUN) --smp 4 -- --cpus 4 --ops 10000000
qemu-smp-8 120: $(SMP_RUN) --smp 8 -- --cpus 8
qemu-smp-1-pc-icount 60: $(SMP_RUN) --machine pc --icount -- --cpus 1
qemu-smp-2-pc 60: $(SMP_RUN) --machine pc --smp 2 -- --cpus 2
qemu-smp-4-pc-icount 60: $(SMP_RUN) --machine pc --smp 4 --icount -- --cpus 4
qemu-smp-8-pc-icount 60: $(SMP_RUN) --machine pc --smp 8 --icount -- --cpus 8
qemu-smp-16-icount 60: $(SMP_RUN) --memory 64M --smp 16 --icount -- --cpus 16
qemu-smp-debug 120: qemu/run.sh $(O)/debug/baremetal/smp.elf --memory 40M --smp 4 -- --cpus 4
qemu-pools 60: qemu/run.sh $(B)/pools.elf --memory 40M --icount
qemu-pools-smp-4 60: qemu/run.sh $(B)/pools.elf --memory 40M --smp 4
qemu-pools-smp-4-pc-icount 90: qemu/run.sh $(B)/pools.elf --memory 40M --machine pc --smp 4 --icount
qemu-pools-irqsave 60: qemu/run.sh $(IRQSAVE)/pools.elf --memory 40M --smp 2
qemu-smp-cost 60: qemu/run.sh $(B)/smp-cost.elf --smp 4 --icount
qemu-last-resort 60: $(LAST_RESORT_RUN) --memory 8M
qemu-last-resort-4 60: $(LAST_RESORT_RUN) --memory 16M --smp 4
qemu-last-resort-16-pc-icount 120: $(LAST_RESORT_RUN) --memory 64M --machine pc --smp 16 --icount
qemu-last-resort-debug 120: qemu/run.sh $(O)/debug/baremetal/last-resort.elf --memory 16M --smp 4
qemu-last-resort-irqsave 60: qemu/run.sh $(IRQSAVE)/last-resort.elf --memory 16M --smp 2
qemu-fini 60: qemu/run.sh $(B)/fini.elf --smp 4
qemu-fini-pc-icount 60: qemu/run.sh $(B)/fini.elf --machine pc --icount
qemu-region-1 60: qemu/run.sh $(B)/region.elf --memory 64M
qemu-region-4 120: qemu/run.sh $(B)/region.elf --memory 64M --smp 4
qemu-region-2-pc 120: qemu/run.sh $(B)/region.elf --memory 64M --machine pc --smp 2
qemu-irqsave-unit 300: qemu/run.sh $(IRQSAVE)/unit.elf
qemu-irqsave-model 60: qemu/run.sh $(IRQSAVE)/model.elf --memory 256M
qemu-irqsave-smp 60: qemu/run.sh $(IRQSAVE)/smp.elf --memory 40M --smp 2 -- --cpus 2
qemu-irqsave-preempt-1 60: $(PREEMPT_RUN)
qemu-irqsave-preempt-4 60: $(PREEMPT_RUN) --smp 4
qemu-irqsave-preempt-4-pc-icount 60: $(PREEMPT_RUN) --smp 4 --machine pc --icount
qemu-memory-4-mib 60: $(MEMORY_RUN) --memory 4M
qemu-memory-6-mib 60: $(MEMORY_RUN) --memory 6M
qemu-memory-6-mib-pc 60: $(MEMORY_RUN) --memory 6M --machine pc
qemu-memory-128-mib 60: $(MEMORY_RUN) --memory 128M --icount -- 60000
qemu-memory-4-gib 180: $(MEMORY_RUN) --memory 4G --icount -- 120000
qemu-memory-6-gib-pc 180: $(MEMORY_RUN) --memory 6G --machine pc --icount
qemu-pages 60: qemu/run.sh $(B)/pages.elf --memory 512M --icount -- 700
qemu-pages-6-gib-pc 60: qemu/run.sh $(B)/pages.elf --memory 6G --machine pc --icount -- 700
qemu-c++ 60: qemu/run.sh $(B)/cxx.elf --icount
qemu-c++-pc 60: qemu/run.sh $(B)/cxx.elf --machine pc --icount
qemu-array 60: qemu/run.sh $(B)/array.elf --icount
qemu-array-pc 60: qemu/run.sh $(B)/array.elf --machine pc --icount
qemu-c++-replaced 60: qemu/run.sh $(B)/cxx-replaced.elf
qemu-small 60: qemu/run.sh $(B)/small.elf --memory 18M
qemu-soak-50 240: $(SOAK_RUN) --memory 80M -- 50 10 150
qemu-latency 60: qemu/run.sh $(B)/latency.elf --memory 512M --icount
qemu-latency-irqsave 60: qemu/run.sh $(IRQSAVE)/latency.elf --memory 512M --icount
qemu-latency-pc 60: qemu/run.sh $(B)/latency.elf --memory 512M --machine pc --icount
qemu-parts-3-mib-pc 60: $(PARTS_RUN) --memory 3M --machine pc -- 85
qemu-parts-4-mib 60: $(PARTS_RUN) --memory 4M -- 85
qemu-parts-4-mib-pc 60: $(PARTS_RUN) --memory 4M --machine pc -- 85
qemu-parts-6-mib-pc 60: $(PARTS_RUN) --memory 6M --machine pc -- 85
qemu-parts-8-mib-pc 60: $(PARTS_RUN) --memory 8M --machine pc -- 85
qemu-parts-16-mib-pc 60: $(PARTS_RUN) --memory 16M --machine pc -- 85
qemu-stack 60: qemu/run.sh $(B)/stack.elf --memory 64M --balloon
qemu-stack-irqsave 60: qemu/run.sh $(IRQSAVE)/stack.elf --memory 64M --balloon
qemu-pressure 60: $(PRESSURE_RUN)
qemu-pressure-smp-4 180: $(PRESSURE_RUN) --smp 4
qemu-pressure-smp-4-pc-icount 120: $(PRESSURE_RUN) --smp 4 --machine pc --icount
qemu-largest-8-mib 60: $(LARGEST_RUN) --memory 8M --icount -- 15000
qemu-largest-16-mib-pc 60: $(LARGEST_RUN) --memory 16M --machine pc --icount -- 15000
qemu-largest-64-mib 60: $(LARGEST_RUN) --memory 64M --icount -- 15000
qemu-largest-300-mib 90: $(LARGEST_RUN) --memory 300M --smp 2
qemu-largest-3-gib 120: $(LARGEST_RUN) --memory 3G
qemu-largest-6-gib-pc 120: $(LARGEST_RUN) --memory 6G --machine pc
qemu-peaks 300: qemu/run.sh $(B)/peaks.elf --memory 2G --smp 2
qemu-scaling 60: qemu/run.sh $(B)/scaling.elf
qemu-1-gib-block 60: qemu/run.sh $(B)/scaling.elf --memory 2G -- 1 1073741824
qemu-16-mib-machine 60: qemu/run.sh $(B)/scaling.elf --memory 16M -- 100000
qemu-idle 90: qemu/run.sh $(B)/idle.elf --memory 256M
qemu-pair 60: qemu/run.sh $(B)/pair.elf --icount
qemu-large-unit 240: qemu/run.sh $(LARGE)/unit.elf
qemu-large-pair 60: qemu/run.sh $(LARGE)/pair.elf --icount
qemu-status 180: tests/qemu/check-status.sh $(B)/status.elf $(O)/debug/baremetal/status.elf
qemu-balloon 600: tests/qemu/check-balloon.sh $(B)/balloon.elf
qemu-balloon-silent 60: qemu/run.sh $(B)/silent.elf --qemu '-icount shift=10,sleep=off'
qemu-pie-upper 60: qemu/run.sh $(PIE)/upper.elf --balloon
qemu-pie-upper-pc 60: qemu/run.sh $(PIE)/upper.elf --machine pc --balloon
qemu-pie 60: qemu/run.sh $(PIE)/scaling.elf
qemu-pie-cpu-at 60: qemu/run.sh $(PIE)/cpu-at.elf
qemu-pie-link 60: tests/qemu/check-pie.sh $(PIE)/libhakmem.a
qemu-upper-5-levels 60: qemu/run.sh $(UPPER)/upper.elf --balloon --qemu '-cpu max'
qemu-window 60: qemu/run.sh $(WINDOW)/window.elf
qemu-window-5-levels-pc 60: qemu/run.sh $(WINDOW)/window.elf --machine pc --qemu '-cpu max'
qemu-far 60: qemu/run.sh $(FAR)/window.elf
qemu-far-dimm 90: qemu/run.sh $(FAR)/window.elf $(DIMM)
qemu-window-dimm 90: qemu/run.sh $(WINDOW)/window.elf $(DIMM)
qemu-cpu-at 60: qemu/run.sh $(B)/cpu-at.elf
qemu-cpu-at-pc-icount 60: qemu/run.sh $(B)/cpu-at.elf --machine pc --icount
qemu-cpu-at-smp-4 120: qemu/run.sh $(B)/smp-at.elf --memory 40M --smp 4 -- --cpus 4
qemu-ring3 60: qemu/run.sh $(B)/ring3.elf
qemu-ring3-pc 60: qemu/run.sh $(B)/ring3.elf --machine pc
qemu-only-cpu 60: qemu/run.sh $(ONLY_CPU)/only_cpu.elf --icount
qemu-only-cpu-pc 60: qemu/run.sh $(ONLY_CPU)/only_cpu.elf --machine pc --icount
qemu-lto 60: tests/qemu/check-lto.sh $(LTO)/libhakmem.a $(LTO)/scaling.elf $(BM_CC)
qemu-lto-clang 60: $(CLANG_LTO_CHECK)
qemu-kit 60: tests/qemu/check-kit.sh plain O=$(O)
qemu-kit-pie 60: tests/qemu/check-kit.sh pie $(PIE_OPTIONS)
qemu-kit-window 60: tests/qemu/check-kit.sh window $(WINDOW_OPTIONS)
qemu-nostdinc 60: qemu/run.sh $(O)/nostdinc/baremetal/smp.elf --smp 2 -- --cpus 2
qemu-nostdinc-clang 60: qemu/run.sh $(O)/clang-nostdinc/baremetal/smp.elf --smp 2 -- --cpus 2
qemu-virtio 120: tests/qemu/check-virtio.sh $(UPPER)/upper.elf
qemu-debug 60: tests/qemu/check-debug.sh $(B)/dump.elf $(B)/scaling.elf $(L)/libhakmem.so
qemu-members 120: tests/qemu/check-members.sh $(B)/libhakmem.a
qemu-size 60: tests/qemu/check-size.sh $(B)/size.map $(B)/size.elf $(B)/family.map
qemu-newlib 60: qemu/run.sh $(B)/newlib.elf
qemu-newlib-pc 60: qemu/run.sh $(B)/newlib.elf --machine pc
qemu-unikraft-sources 60: tests/kernels/unikraft/sources.sh $(B)/obj
qemu-unikraft 60: qemu/run.sh $(B)/unikraft.elf --memory 64M
qemu-unikraft-vmem 60: qemu/run.sh $(B)/unikraft-vmem.elf --memory 64M
qemu-nanos 60: qemu/run.sh $(NANOS)/nanos.elf --memory 512M
qemu-solo5 60: qemu/run.sh $(SOLO5)/solo5.elf --memory 64M
qemu-example 90: tests/qemu/check-example.sh $(EXAMPLE) $(B)/libhakmem.a
qemu-example-rust 120: tests/qemu/check-rust.sh $(EXAMPLE)/installed $(O)/example-rust
qemu-image 60: tests/qemu/check-image.sh
page-baremetal 240: tests/pages/baremetal.sh
qemu-newlib-map 60: tests/qemu/check-newlib-map.sh $(B)/newlib.map
endef

# cases with a fork, without a thread, and at the end of threads
REAPER_DEBUG := child_of_two_threads child_of_one_thread forks_while_it_is_busy \
	main_leaves_wrapped freed_goes_at_once turns_keep_their_memory

# Samples among threads.
SAMPLES := HAKMEM_PROFILE=4096:/dev/null HAKMEM_GUARD=20

define LINUX_SUITES
lint: tests/lint/run.sh
model-check: tests/model-check/run.sh
unit: $(L)/unit
unit-debug: $(O)/debug/linux/unit
samples: $(L)/samples
samples-debug: $(O)/debug/linux/samples
guard: $(L)/guard
guard-debug: $(O)/debug/linux/guard
samples-stress: env $(SAMPLES) $(L)/stress --ops 50000
samples-stress-tsan: env $(SAMPLES) $(O)/tsan/linux/stress --ops 10000
samples-options 120: tests/linux/samples.sh $(L)
map 120: tests/linux/map.sh $(L)
top 120: tests/linux/top.sh $(L)
unit-asan: $(O)/asan/linux/unit
unit-ubsan: $(O)/ubsan/linux/unit
unit-tsan: $(O)/tsan/linux/unit
unit-clang: $(O)/clang/linux/unit
unit-window: $(O)/window/linux/unit
unit-gaps: $(O)/gaps/linux/unit
unit-gaps-debug: $(O)/gaps-debug/linux/unit
model: $(L)/model --ops 10000000
model-debug: $(O)/debug/linux/model --ops 1000000
model-asan: $(O)/asan/linux/model --ops 500000
model-ubsan: $(O)/ubsan/linux/model --ops 500000
model-tsan: $(O)/tsan/linux/model --ops 100000
model-clang: $(O)/clang/linux/model --ops 1000000
model-gaps: $(O)/gaps/linux/model --ops 3000000
model-gaps-debug: $(O)/gaps-debug/linux/model --ops 1000000
fault: $(L)/fault
unit-hardened: $(O)/hard/linux/unit
model-hardened: $(O)/hard/linux/model --ops 1000000
stress-hardened: $(O)/hard/linux/stress
crimes: $(O)/hard/linux/crimes
letters: $(O)/debug/linux/letters
letters-model: $(LETTERS_MODEL) --ops 30000
letters-programs: tests/linux/letters.sh $(O)/debug/linux $(L)
fault-debug: $(O)/debug/linux/fault
fault-asan: $(O)/asan/linux/fault
fault-ubsan: $(O)/ubsan/linux/fault
fault-gaps: $(O)/gaps/linux/fault
fault-gaps-debug: $(O)/gaps-debug/linux/fault
stress: $(L)/stress
stress-debug: $(O)/debug/linux/stress
stress-asan: $(O)/asan/linux/stress
stress-ubsan: $(O)/ubsan/linux/stress
stress-tsan: $(O)/tsan/linux/stress --ops 50000
full: $(L)/full
full-gaps: $(O)/gaps/linux/full
full-gaps-debug: $(O)/gaps-debug/linux/full
full-gaps-tsan: $(O)/gaps-tsan/linux/full --ops 30000
death: $(L)/death
death-debug: $(O)/debug/linux/death
death-asan: $(O)/asan/linux/death
death-ubsan: $(O)/ubsan/linux/death
# its handlers allocate, which is what it is about
death-tsan: env TSAN_OPTIONS=report_signal_unsafe=0 $(O)/tsan/linux/death
death-clang: $(O)/clang/linux/death
death-gaps: $(O)/gaps/linux/death
death-gaps-debug: $(O)/gaps-debug/linux/death
provider: $(L)/provider
reaper: tests/linux/reaper.sh $(L)
reaper-debug: tests/linux/reaper.sh $(O)/debug/linux $(REAPER_DEBUG)
scaling: $(L)/scaling
idle: $(L)/idle
api: tests/api/run.sh $(L)
api-debug: tests/api/run.sh $(O)/debug/linux programs
api-sized: tests/api/sized.sh $(O)/debug/linux $(L)
options: tests/linux/options.sh $(L)
options-archive-debug: tests/linux/options.sh $(O)/debug/linux archive
limits: tests/linux/limits.sh $(L)
limits-archive-debug: tests/linux/limits.sh $(O)/debug/linux archive
emulated: tests/linux/emulated.sh $(L)
confined: tests/linux/confined.sh $(L)
huge: tests/linux/huge.sh $(L)
footprint: tests/linux/footprint.sh $(L)
overflow: tests/linux/overflow.sh $(L)
overflow-debug: tests/linux/overflow.sh $(O)/debug/linux
install: tests/install/run.sh
build 120: tests/install/build.sh
dist: tests/install/dist.sh
page-linux: tests/pages/linux.sh
fastpath: tests/fastpath/check.sh $(L)/libhakmem.so
demo: tests/bench/demo.sh $(L)/scaling $(B)/scaling.elf
bench: tests/bench/selftest.sh $(L)
endef

# What CI has no time for.
define LONG_SUITES
fault-tsan 1200: $(O)/tsan/linux/fault
letters-stress 1200: env HAKMEM_DEBUG=FZPU $(O)/debug/linux/stress --ops 50000
letters-model-long 3600: $(LETTERS_MODEL) --ops 5000000
letters-gaps: $(O)/gaps-debug/linux/letters
qemu-letters-model 600: qemu/run.sh $(O)/debug/baremetal/model.elf --timeout 500 --memory 256M \
	-- --letters FZPU --ops 100000
fault-hardened 600: $(O)/hard/linux/fault
full-hardened 600: $(O)/hard/linux/full
qemu-large-smp-4 120: qemu/run.sh $(LARGE)/smp.elf --memory 40M --smp 4 -- --cpus 4
qemu-smp-cost-8 60: $(MANY_RUN) --smp 8
qemu-smp-cost-16 60: $(MANY_RUN) --smp 16
qemu-smp-cost-32 180: $(MANY_RUN) --smp 32
qemu-smp-cost-64 600: $(MANY_RUN) --smp 64
larson 600: tests/bench/larson.sh $(L)
model-long 3600: $(L)/model --ops 500000000
model-debug-long 3600: $(O)/debug/linux/model --ops 50000000
stress-long 1200: $(L)/stress --seconds 600
stress-tsan-long 1200: $(O)/tsan/linux/stress --seconds 600
stress-asan-long 1200: $(O)/asan/linux/stress --seconds 600
options-archive: tests/linux/options.sh $(L) archive
options-debug: tests/linux/options.sh $(O)/debug/linux
limits-archive: tests/linux/limits.sh $(L) archive
limits-debug: tests/linux/limits.sh $(O)/debug/linux
confined-debug: tests/linux/confined.sh $(O)/debug/linux
reaper-debug-long: tests/linux/reaper.sh $(O)/debug/linux
apps 7200: tests/apps/run.sh $(L) $(O)/app-logs
endef
export QEMU_SUITES LINUX_SUITES LONG_SUITES

test check: test-builds
	@{ echo "$$LINUX_SUITES"; echo "$$QEMU_SUITES"; } | $(RUN)

qemu-test: images $(B)/newlib.elf kit qemu-builds $(L)/libhakmem.so
	@echo "$$QEMU_SUITES" | $(RUN)

linux-test: test-builds
	@echo "$$LINUX_SUITES" | $(RUN)

test-long: test-builds
	+@$(LARGE_BUILD) $(LARGE)/smp.elf
	+@$(MANY_BUILD) $(O)/many/baremetal/smp-cost.elf
	@echo "$$LONG_SUITES" | $(RUN)

.PHONY: test-tools lint-tools format-tools test-builds test-programs qemu-builds test check \
	linux-test qemu-test test-long
