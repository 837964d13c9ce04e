# SPDX-License-Identifier: MIT
#
# `make help` lists the targets and variables. Everything that is built goes to
# $(O); nothing is built in the source tree.

# `make -s` says nothing. (Before the line below, since that adds letters of its own.)
silent := $(findstring s,$(filter-out --% %=%,$(firstword -$(MAKEFLAGS))))
MAKEFLAGS += --no-builtin-rules --no-print-directory
.SUFFIXES:
.DELETE_ON_ERROR:
.DEFAULT_GOAL := all

ARCH          ?= x86_64
CROSS_COMPILE ?=
LLVM          ?=
O             ?= build
V             ?=
W             ?=
DEBUG         ?=
SAN           ?=

ifneq ($(words $(CURDIR)),1)
$(error the path of the sources, $(CURDIR), has a space, with which make cannot work)
endif

# Options of include/hakmem/config.h that can be given on the command line.
CONFIGS := CONFIG_HAK_DEBUG CONFIG_HAK_IRQSAVE CONFIG_HAK_MOVE

ifeq ($(wildcard arch/$(ARCH)/cpu.h),)
$(error ARCH=$(ARCH) is not supported; there is: \
	$(patsubst arch/%/cpu.h,%,$(wildcard arch/*/cpu.h)))
endif
ifneq ($(filter-out address undefined thread,$(SAN)),)
$(error SAN=$(SAN) is unknown; there is: address undefined thread)
endif
unknown := $(filter-out $(CONFIGS),$(filter CONFIG_HAK_%,$(.VARIABLES)))
ifneq ($(unknown),)
$(error unknown option $(unknown); there is: $(CONFIGS))
endif

# $(O) is what `make clean` removes: it is new, empty, or a build made it, and it is neither
# the source tree nor in it, unless beside its folders.
here := $(realpath $(CURDIR))
out  := $(or $(realpath $(O)),$(abspath $(O)))
sources := .ci .git arch core include platform qemu tests
ifneq ($(words $(O))$(findstring :,$(O))$(findstring %,$(O)),1)
$(error O=$(O) must be one folder, without spaces, : and % in its name)
endif
ifneq ($(filter $(out:/=)/%,$(here)/)$(filter $(sources:%=$(here)/%/%),$(out)/),)
$(error O=$(O) is a folder of the sources or has them in it: give another)
endif
ifeq ($(wildcard $(O)/flags),)
ifneq ($(wildcard $(O)/* $(O)/.[!.]*),)
$(error O=$(O) has files in it that no build made: give a new folder, or an empty one)
endif
endif

# One that is written into files, or that another make is called with in another folder.
must_be_path = $(if $(filter-out 0 1,$(words $($(1))))$(filter-out /%,$($(1))),\
	       $(error $(1)=$($(1)) must begin with / and have no spaces))

# What is on or off: empty, 0, n and no mean off, and 1, y and yes mean on.
switch = $(strip $(if $(filter 0 n no,$($(1))),,$(if $(filter-out 1 y yes,$($(1))),\
	 $(error $(1)=$($(1)) is not yes or no: give $(1)=1 or $(1)=0),$($(1)))))
override DEBUG := $(call switch,DEBUG)
override LLVM  := $(call switch,LLVM)
override V     := $(call switch,V)
$(foreach c,$(CONFIGS),$(if $(call switch,$(c)),))
ifneq ($(filter-out 0 n no 1 2,$(W)),)
$(error W=$(W) is unknown: W=1 makes errors of warnings, W=2 shows more of them)
endif

ifneq ($(silent),)
say = @
else ifeq ($(V),)
say = @printf '  %-7s %s\n' $(1) $(2);
else
say =
endif

# ---------------------------------------------------------------- tools, flags

# What the user gives is taken: CC, CPPFLAGS, CFLAGS, CXXFLAGS, LDFLAGS, as variables or by
# the environment. They are for Linux alone; bare metal has BM_CC and flags of its own.
ifeq ($(origin CC),default)
CC := $(if $(LLVM),clang,gcc)
endif
CLANG := $(if $(filter gcc,$(CC)),,$(findstring clang,$(shell $(CC) --version 2>/dev/null)))
LTO   := $(filter -flto%,$(CFLAGS))

ifeq ($(LLVM),)
HOSTLD  := ld
HOSTOBJCOPY := objcopy
HOSTAR  := ar
BM_CC      := $(CROSS_COMPILE)gcc
BM_LD      := $(CROSS_COMPILE)ld
BM_AR      := $(CROSS_COMPILE)ar
BM_OBJCOPY := $(CROSS_COMPILE)objcopy
# Without it, addresses that two accesses share are computed first instead of
# by the addressing modes: two instructions more in the fast path.
FASTPATH_FLAGS := -fno-tree-slsr
BM_FLAGS   :=
else
HOSTLD  := ld.lld
HOSTOBJCOPY := llvm-objcopy
HOSTAR  := llvm-ar
BM_CC      := $(if $(CLANG),$(CC),clang) --target=x86_64-unknown-none-elf
BM_LD      := ld.lld
BM_AR      := llvm-ar
BM_OBJCOPY := llvm-objcopy
FASTPATH_FLAGS :=
BM_FLAGS   :=
endif

WARNINGS := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wundef \
	    -Wpointer-arith -Wvla
WARNINGS += $(if $(filter 1,$(W)),-Werror)
WARNINGS += $(if $(filter 2,$(W)),-Wconversion -Wno-sign-conversion -Wcast-qual)

# What is compiled with: defaults, then what the user gives, then what nothing works without.
# No path of the source tree is in what is built.
DEFAULTS := $(if $(DEBUG),-Og,-O2) -g -ffile-prefix-map=$(CURDIR)=. $(WARNINGS)
NEEDED   := -std=gnu11 -fvisibility=hidden -MMD -MP $(if $(DEBUG),-DCONFIG_HAK_DEBUG=1)
NEEDED   += $(foreach c,$(CONFIGS),$(if $($(c)),-D$(c)=$(if $(call switch,$(c)),1,0)))
COMMON   := $(DEFAULTS) $(NEEDED)
ifneq ($(DEBUG),)
ifneq ($(CONFIG_HAK_DEBUG),)
$(error DEBUG=1 and CONFIG_HAK_DEBUG: give only one of them)
endif
endif

LINUX_INCLUDES := -Iinclude -Icore -Iarch/$(ARCH) -Iplatform/linux
LINUX_NEEDED   := $(NEEDED) -fPIC $(LINUX_INCLUDES) $(if $(SAN),-fsanitize=$(SAN) \
		  -fno-sanitize-recover=all -fno-omit-frame-pointer)
LINUX_CFLAGS   := $(DEFAULTS) $(CPPFLAGS) $(CFLAGS) $(LINUX_NEEDED)
LINUX_FASTPATH := $(if $(CLANG),,-fno-tree-slsr)
# Objects of link-time optimisation are nothing to GNU ld without its plugin.
LINUX_LINK     := $(CC) $(CFLAGS) $(if $(and $(LTO),$(CLANG)),-fuse-ld=lld) \
		  -Wl,-z,now,-z,relro $(LDFLAGS)
LINUX_LDFLAGS  := $(if $(SAN),-fsanitize=$(SAN)) -pthread
MERGE          := $(if $(LTO),$(LINUX_LINK) -r -nostdlib \
		  $(if $(CLANG),,-flinker-output=nolto-rel),$(HOSTLD) -r)

BM_NEEDED   := -ffreestanding -mno-red-zone -ffunction-sections -fdata-sections
BM_INCLUDES := -Iinclude -Icore -Iarch/$(ARCH) -Iplatform/baremetal
# What is usual, then what the user says (BM_FLAGS), then what nothing works without.
BM_CFLAGS   := $(COMMON) $(BM_INCLUDES) -fno-pie -fno-stack-protector -fcf-protection=none \
	       -fno-asynchronous-unwind-tables $(BM_FLAGS) $(BM_NEEDED)
BM_KERNEL   := -mgeneral-regs-only
BM_IMAGE    := $(BM_KERNEL) -Itests -Iqemu -Iarch/$(ARCH)/boot
BM_LDFLAGS  := -nostdlib -T qemu/image.ld -z max-page-size=4096 -z noexecstack --build-id=none

# --------------------------------------------------------------------- sources

CORE       := $(basename $(wildcard core/*/*.c))
SHARED     := platform/linux/early_init platform/linux/fork_raw
STATIC     := platform/linux/fork_static
LINUX      := $(filter-out $(SHARED) $(STATIC),$(basename $(wildcard platform/linux/*.c)))
BAREMETAL  := $(basename $(wildcard platform/baremetal/*.c))
BOOT       := $(basename $(wildcard arch/$(ARCH)/boot/*.c)) $(wildcard arch/$(ARCH)/boot/*.S) \
	      qemu/boot qemu/exit

L := $(O)/linux
B := $(O)/baremetal
linux_objects = $(patsubst %,$(L)/obj/%.o,$(1))
bm_objects    = $(patsubst %,$(B)/obj/%.o,$(1))

# What a build was made with: objects are made again when it changes.
FLAGS_STAMP := $(O)/flags
flags := $(LINUX_LINK) $(LINUX_CFLAGS) $(CXXFLAGS) $(BM_CC) $(BM_CFLAGS)
ifneq ($(filter-out help clean distclean format lint uninstall setup%,\
	$(or $(MAKECMDGOALS),$(.DEFAULT_GOAL))),)
$(shell mkdir -p $(O))
ifneq ($(strip $(file <$(FLAGS_STAMP))),$(strip $(flags)))
$(file >$(FLAGS_STAMP),$(flags))
endif
endif

all: linux baremetal
linux: $(L)/libhakmem.so $(L)/libhakmem.a
baremetal: $(B)/libhakmem.a $(B)/scaling.elf

# ----------------------------------------------------------------------- Linux

$(L)/obj/core/%.o: core/%.c $(FLAGS_STAMP)
	@mkdir -p $(@D)
	$(call say,CC,$@)$(CC) $(LINUX_CFLAGS) -ffreestanding $(LINUX_FASTPATH) -c $< -o $@

$(L)/obj/platform/%.o: platform/%.c $(FLAGS_STAMP)
	@mkdir -p $(@D)
	$(call say,CC,$@)$(CC) $(LINUX_CFLAGS) -fno-builtin-malloc $(LINUX_FASTPATH) -c $< -o $@

# Tests may use nothing but what the core gives them, so they see its headers.
$(L)/obj/tests/%.o: tests/%.c $(FLAGS_STAMP)
	@mkdir -p $(@D)
	$(call say,CC,$@)$(CC) $(LINUX_CFLAGS) -Itests -c $< -o $@

LIBRARY := $(call linux_objects,$(CORE) $(LINUX))

# The operators of C++, twice: see there.
c_only          := -std=% -Wstrict-prototypes -Wmissing-prototypes
OPERATORS_FLAGS := $(filter-out $(c_only),$(DEFAULTS)) $(CPPFLAGS) $(CXXFLAGS) \
		   $(filter-out $(c_only),$(LINUX_NEEDED)) \
		   -std=c++17 -nostdinc++ -fno-rtti -fno-plt
OPERATORS := platform/linux/operators
$(L)/obj/$(OPERATORS).o: $(OPERATORS).cc $(FLAGS_STAMP)
	@mkdir -p $(@D)
	$(call say,CXX,$@)$(CC) -x c++ $(OPERATORS_FLAGS) -DHAK_CXX_OPTIONAL -c $< -o $@

$(L)/libhakmem.so: $(LIBRARY) $(call linux_objects,$(SHARED)) $(L)/obj/$(OPERATORS).o \
		platform/linux/exports.map
	$(call say,LD,$@)$(LINUX_LINK) -shared -Wl,-z,nodelete,-z,initfirst \
		-Wl,-soname,libhakmem.so.0 \
		-Wl,--version-script=platform/linux/exports.map $(LINUX_LDFLAGS) \
		$(filter %.o,$^) -o $@
	@ln -sf libhakmem.so $(L)/libhakmem.so.0

# One object, in which only the public names are left; and what only C++ needs.
$(L)/hakmem.o: $(LIBRARY) $(call linux_objects,$(STATIC))
	$(call say,LD,$@)$(MERGE) $^ -o $@ && $(HOSTOBJCOPY) --localize-hidden $@
$(L)/operators.o: $(OPERATORS).cc $(FLAGS_STAMP)
	@mkdir -p $(@D)
	$(call say,CXX,$@)$(CC) -x c++ $(OPERATORS_FLAGS) -c $< -o $@ && \
		$(HOSTOBJCOPY) --wildcard --localize-symbol='hak_delete*' $@
$(L)/libhakmem.a: $(L)/hakmem.o $(L)/operators.o
	@rm -f $@
	$(call say,AR,$@)$(HOSTAR) rcs $@ $^

# ------------------------------------------------------------------ bare metal

$(B)/obj/core/%.o: core/%.c $(FLAGS_STAMP)
	@mkdir -p $(@D)
	$(call say,CC,$@)$(BM_CC) $(BM_CFLAGS) $(BM_KERNEL) $(FASTPATH_FLAGS) -c $< -o $@

$(B)/obj/platform/%.o: platform/%.c $(FLAGS_STAMP)
	@mkdir -p $(@D)
	$(call say,CC,$@)$(BM_CC) $(BM_CFLAGS) $(BM_KERNEL) -c $< -o $@

$(B)/obj/%.o: %.c $(FLAGS_STAMP)
	@mkdir -p $(@D)
	$(call say,CC,$@)$(BM_CC) $(BM_CFLAGS) $(BM_IMAGE) -c $< -o $@

$(B)/obj/%.S.o: %.S $(FLAGS_STAMP)
	@mkdir -p $(@D)
	$(call say,AS,$@)$(BM_CC) $(BM_CFLAGS) -c $< -o $@

# The core as one object, with the names of a library, and a section for each
# function, so that --gc-sections drops what an image does not use; the platform
# piece by piece, so that a kernel can have its own instead of any of them.
$(B)/hakmem.o: $(call bm_objects,$(CORE))
	$(call say,LD,$@)$(BM_LD) -r $^ -o $@ && \
		$(BM_OBJCOPY) --wildcard --keep-global-symbol='hak_*' $@
$(B)/libhakmem.a: $(B)/hakmem.o $(call bm_objects,$(BAREMETAL))
$(B)/platform.a: $(call bm_objects,$(BAREMETAL))
$(B)/libhakmem.a $(B)/platform.a:
	@rm -f $@
	$(call say,AR,$@)$(BM_AR) rcs $@ $^

# -------------------------------------------------------------- test programs

# Test programs are linked with the core's objects, not with the library: they
# look inside. The C library keeps its own malloc there, and the sanitizers
# theirs.
TESTED := $(call linux_objects,$(CORE) $(filter-out platform/linux/malloc \
	  platform/linux/mallinfo,$(LINUX)) \
	  tests/test tests/port/linux)

# Sources of each program, which is built for both platforms where it can be.
unit    := $(basename $(wildcard tests/unit/*.c)) tests/fake
model   := $(basename $(wildcard tests/model/*.c)) tests/fake
fault   := $(basename $(wildcard tests/fault/*.c)) tests/fake
stress  := $(basename $(wildcard tests/stress/*.c))
death   := $(basename $(wildcard tests/death/*.c))
provider := tests/linux/provider
scaling := tests/bench/scaling
pair    := tests/bench/pair
idle    := tests/bench/idle
status  := tests/qemu/status
memory-map := tests/qemu/memory_map
smp     := tests/smp/smp tests/smp/cpus tests/smp/traffic
smp-cost := tests/smp/cost tests/smp/cpus
fini    := tests/smp/fini
preempt := tests/smp/preempt tests/smp/cpus tests/smp/traffic

LINUX_PROGRAMS := unit model fault stress death provider scaling idle
IMAGES         := unit model fault scaling pair status idle smp preempt smp-cost fini memory-map

define linux_program
$(L)/$(1): $$(call linux_objects,$$($(1))) $$(TESTED)
	$$(call say,LD,$$@)$$(LINUX_LINK) $$^ $$(LINUX_LDFLAGS) -o $$@
endef
define image
$(B)/$(1).elf: $$(call bm_objects,$$($(1)) $$(CORE) $$(BOOT) $$(IMAGE_TESTED)) $(B)/platform.a \
	       qemu/image.ld
	$$(call say,LD,$$@)$$(BM_LD) $$(BM_LDFLAGS) $$(filter %.o %.a,$$^) -o $$@
endef

IMAGE_TESTED := tests/test tests/port/baremetal
$(foreach program,$(LINUX_PROGRAMS),$(eval $(call linux_program,$(program))))
$(foreach program,$(filter-out scaling,$(IMAGES)),$(eval $(call image,$(program))))

# This one as an outsider would link it.
$(B)/scaling.elf: $(call bm_objects,$(scaling) $(BOOT) $(IMAGE_TESTED)) $(B)/libhakmem.a \
		  qemu/image.ld
	$(call say,LD,$@)$(BM_LD) $(BM_LDFLAGS) $(filter %.o %.a,$^) -o $@

linux-programs: $(addprefix $(L)/,$(LINUX_PROGRAMS))
images: $(patsubst %,$(B)/%.elf,$(IMAGES))

# ---------------------------------------------------------------------- newlib

NEWLIB := $(O)/newlib
NEWLIB_SOURCE ?= $(firstword $(wildcard /usr/src/newlib/newlib-*.tar.*) \
		 /usr/src/newlib/newlib-3.3.0.tar.xz)

$(NEWLIB)/stamp: qemu/newlib-build.sh
	$(call say,NEWLIB,$(NEWLIB))CC="$(CROSS_COMPILE)gcc" CROSS_COMPILE="$(CROSS_COMPILE)" \
		qemu/newlib-build.sh $(NEWLIB_SOURCE) $(NEWLIB) && touch $@

# Programs of newlib may use floating point, and see newlib's headers.
$(B)/obj/newlib/%.o: %.c $(FLAGS_STAMP) $(NEWLIB)/stamp
	@mkdir -p $(@D)
	$(call say,CC,$@)$(BM_CC) $(BM_CFLAGS) $(NEWLIB_CFLAGS) -c $< -o $@

NEWLIB_CFLAGS = -D_GNU_SOURCE -nostdinc -isystem $(shell $(BM_CC) -print-file-name=include) \
		-isystem $(NEWLIB)/include
newlib_objects := $(patsubst %,$(B)/obj/newlib/%.o,tests/qemu/newlib qemu/newlib-stubs)

# The library before newlib, and asked for by name: else the linker would find
# newlib's heap first.
$(B)/newlib.elf: $(newlib_objects) $(call bm_objects,$(BOOT)) $(B)/libhakmem.a qemu/image.ld
	$(call say,LD,$@)$(BM_LD) $(BM_LDFLAGS) -u _malloc_r -Map=$(B)/newlib.map $(filter %.o,$^) \
		--start-group $(B)/libhakmem.a $(NEWLIB)/lib/libc.a $(NEWLIB)/lib/libm.a \
		--end-group -o $@

# ------------------------------------------------------------------ benchmarks

include tests/bench/bench.mk

include qemu/qemu.mk

# ---------------------------------------------------- main targets for people

# `make -j setup demo` installs before it builds.
ifneq ($(filter setup setup-test setup-bench setup-deb setup-apps,$(MAKECMDGOALS)),)
.NOTPARALLEL:
endif

PACKAGES      := gcc g++ libc6-dev make binutils qemu-system-x86
TEST_PACKAGES := $(PACKAGES) newlib-source xz-utils valgrind clang lld llvm clang-format \
		 musl-tools musl-dev gdb pkgconf mandoc man-db spin qemu-user

setup:
	@tests/setup.sh $(PACKAGES)
setup-test:
	@tests/setup.sh $(TEST_PACKAGES)

demo: $(L)/scaling $(B)/scaling.elf
	@$(L)/scaling
	@qemu/run.sh $(B)/scaling.elf

# A suite is a line "NAME [SECONDS]: COMMAND" for tests/run.sh. SECONDS is ten times what
# it takes alone, and at least 60: a machine that tests may be busy.
RUN := tests/run.sh -d $(O)/test-logs

# The same programs built otherwise, each in a directory of its own.
DEBUG_BUILD  := $(MAKE) O=$(O)/debug DEBUG=1 SAN=
ASAN_BUILD   := $(MAKE) O=$(O)/asan DEBUG=1 SAN=address
UBSAN_BUILD  := $(MAKE) O=$(O)/ubsan DEBUG=1 SAN=undefined
TSAN_BUILD   := $(MAKE) O=$(O)/tsan DEBUG= SAN=thread
IRQSAVE_BUILD := $(MAKE) O=$(O)/irqsave CONFIG_HAK_IRQSAVE=y CONFIG_HAK_MOVE=y DEBUG= SAN=
IRQSAVE      := $(O)/irqsave/baremetal
UPPER_BUILD  := $(MAKE) O=$(O)/upper BM_FLAGS=-mcmodel=kernel DEBUG= SAN=
UPPER        := $(O)/upper/baremetal
PIE_BUILD    := $(MAKE) O=$(O)/pie BM_FLAGS=-fpie DEBUG= SAN=
PIE          := $(O)/pie/baremetal
CLANG_BUILD  := $(MAKE) O=$(O)/clang LLVM=1 CC=clang DEBUG= SAN=

TEST_TOOLS := clang ld.lld llvm-ar clang-format valgrind qemu-system-x86_64 xz gdb musl-gcc g++ \
	      pkg-config mandoc man spin
test-tools:
	@for tool in $(TEST_TOOLS); do command -v $$tool >/dev/null || \
		{ echo "no $$tool: run 'make setup-test'" >&2; exit 1; }; done

test-builds: test-tools
	+@$(MAKE) test-programs
test-programs: linux baremetal linux-programs bench-programs images $(B)/newlib.elf kit
	+@$(DEBUG_BUILD) linux linux-programs
	+@$(ASAN_BUILD) linux-programs
	+@$(UBSAN_BUILD) linux-programs
	+@$(TSAN_BUILD) linux-programs
	+@$(CLANG_BUILD) linux baremetal linux-programs images
	+@$(MAKE) qemu-builds
# What the suites in QEMU need of builds that are made otherwise.
qemu-builds:
	+@$(DEBUG_BUILD) $(O)/debug/baremetal/smp.elf
	+@$(IRQSAVE_BUILD) $(addprefix $(IRQSAVE)/,unit.elf model.elf smp.elf preempt.elf)
	+@$(UPPER_BUILD) $(UPPER)/upper.elf
	+@$(PIE_BUILD) $(PIE)/upper.elf $(PIE)/scaling.elf

# What runs in QEMU.
MODEL_RUN := qemu/run.sh $(B)/model.elf --memory 256M
SMP_RUN := qemu/run.sh $(B)/smp.elf --memory 40M
PREEMPT_RUN := qemu/run.sh $(IRQSAVE)/preempt.elf
MEMORY_RUN := qemu/run.sh $(B)/memory-map.elf
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
qemu-smp-1 60: $(SMP_RUN) -- --cpus 1
qemu-smp-2-icount 60: $(SMP_RUN) --smp 2 --icount -- --cpus 2
qemu-smp-4 120: $(SMP_RUN) --smp 4 -- --cpus 4 --ops 10000000
qemu-smp-8 120: $(SMP_RUN) --smp 8 -- --cpus 8
qemu-smp-1-pc-icount 60: $(SMP_RUN) --machine pc --icount -- --cpus 1
qemu-smp-2-pc 60: $(SMP_RUN) --machine pc --smp 2 -- --cpus 2
qemu-smp-4-pc-icount 60: $(SMP_RUN) --machine pc --smp 4 --icount -- --cpus 4
qemu-smp-8-pc-icount 60: $(SMP_RUN) --machine pc --smp 8 --icount -- --cpus 8
qemu-smp-debug 120: qemu/run.sh $(O)/debug/baremetal/smp.elf --memory 40M --smp 4 -- --cpus 4
qemu-smp-cost 60: qemu/run.sh $(B)/smp-cost.elf --smp 4 --icount
qemu-fini 60: qemu/run.sh $(B)/fini.elf --smp 4
qemu-fini-pc-icount 60: qemu/run.sh $(B)/fini.elf --machine pc --icount
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
qemu-pages 60: qemu/run.sh $(B)/pages.elf --memory 512M --icount -- 600
qemu-scaling 60: qemu/run.sh $(B)/scaling.elf
qemu-1-gib-block 60: qemu/run.sh $(B)/scaling.elf --memory 2G -- 1 1073741824
qemu-16-mib-machine 60: qemu/run.sh $(B)/scaling.elf --memory 16M -- 100000
qemu-idle 90: qemu/run.sh $(B)/idle.elf --memory 256M
qemu-pair 60: qemu/run.sh $(B)/pair.elf --icount
qemu-status 180: tests/qemu/check-status.sh $(B)/status.elf
qemu-balloon 240: tests/qemu/check-balloon.sh $(B)/balloon.elf
qemu-balloon-silent 240: qemu/run.sh $(B)/silent.elf
qemu-pie-upper 60: qemu/run.sh $(PIE)/upper.elf --balloon
qemu-pie 60: qemu/run.sh $(PIE)/scaling.elf
qemu-pie-link 60: tests/qemu/check-pie.sh $(PIE)/libhakmem.a
qemu-virtio 120: tests/qemu/check-virtio.sh $(UPPER)/upper.elf
qemu-debug 60: tests/qemu/check-debug.sh $(B)/dump.elf
qemu-members 120: tests/qemu/check-members.sh $(B)/libhakmem.a
qemu-size 60: tests/qemu/check-size.sh $(B)/size.map $(B)/size.elf
qemu-newlib 60: qemu/run.sh $(B)/newlib.elf
qemu-newlib-pc 60: qemu/run.sh $(B)/newlib.elf --machine pc
qemu-example 90: tests/qemu/check-example.sh $(EXAMPLE) $(B)/libhakmem.a
qemu-image 60: tests/qemu/check-image.sh
qemu-newlib-map 60: tests/qemu/check-newlib-map.sh $(B)/newlib.map
endef

# cases with a fork, without a thread, and at the end of threads
REAPER_DEBUG := child_of_two_threads child_of_one_thread forks_while_it_is_busy \
	main_leaves_wrapped freed_goes_at_once turns_keep_their_memory

define LINUX_SUITES
lint: tests/lint/run.sh
model-check: tests/model-check/run.sh
unit: $(L)/unit
unit-debug: $(O)/debug/linux/unit
unit-asan: $(O)/asan/linux/unit
unit-ubsan: $(O)/ubsan/linux/unit
unit-tsan: $(O)/tsan/linux/unit
unit-clang: $(O)/clang/linux/unit
model: $(L)/model --ops 10000000
model-debug: $(O)/debug/linux/model --ops 1000000
model-asan: $(O)/asan/linux/model --ops 500000
model-ubsan: $(O)/ubsan/linux/model --ops 500000
model-tsan: $(O)/tsan/linux/model --ops 100000
model-clang: $(O)/clang/linux/model --ops 1000000
fault: $(L)/fault
fault-debug: $(O)/debug/linux/fault
fault-asan: $(O)/asan/linux/fault
fault-ubsan: $(O)/ubsan/linux/fault
fault-tsan: $(O)/tsan/linux/fault
stress: $(L)/stress
stress-debug: $(O)/debug/linux/stress
stress-asan: $(O)/asan/linux/stress
stress-ubsan: $(O)/ubsan/linux/stress
stress-tsan: $(O)/tsan/linux/stress --ops 50000
death: $(L)/death
death-debug: $(O)/debug/linux/death
death-asan: $(O)/asan/linux/death
death-ubsan: $(O)/ubsan/linux/death
death-tsan: $(O)/tsan/linux/death
death-clang: $(O)/clang/linux/death
provider: $(L)/provider
reaper 1100: tests/linux/reaper.sh $(L)
reaper-debug 300: tests/linux/reaper.sh $(O)/debug/linux $(REAPER_DEBUG)
scaling: $(L)/scaling
idle: $(L)/idle
api: tests/api/run.sh $(L)
api-debug: tests/api/run.sh $(O)/debug/linux programs
api-sized: tests/api/sized.sh $(O)/debug/linux $(L)
options: tests/linux/options.sh $(L)
limits: tests/linux/limits.sh $(L)
emulated: tests/linux/emulated.sh $(L)
confined 900: tests/linux/confined.sh $(L)
confined-debug 900: tests/linux/confined.sh $(O)/debug/linux
footprint: tests/linux/footprint.sh $(L)
overflow: tests/linux/overflow.sh $(L)
overflow-debug: tests/linux/overflow.sh $(O)/debug/linux
install: tests/install/run.sh
build: tests/install/build.sh
fastpath: tests/fastpath/check.sh $(L)/libhakmem.so
bench: tests/bench/selftest.sh $(L)
endef
export QEMU_SUITES LINUX_SUITES

test: test-builds
	@{ echo "$$LINUX_SUITES"; echo "$$QEMU_SUITES"; } | $(RUN)

qemu-test: images $(B)/newlib.elf kit qemu-builds
	@echo "$$QEMU_SUITES" | $(RUN)

linux-test: test-builds
	@echo "$$LINUX_SUITES" | $(RUN)

include platform/linux/install.mk
include tests/apps/apps.mk

help:
	@echo 'Targets:'
	@echo '  all             libraries for Linux and bare metal, the demo image (default)'
	@echo '  linux           $(L)/libhakmem.so and .a'
	@echo '  baremetal       $(B)/libhakmem.a'
	@echo '  setup           install the Debian packages that building and the demo need'
	@echo '  setup-test      install those that the tests need, too'
	@echo '  setup-bench     install other mallocs, and programs, for the benchmarks'
	@echo '  demo            the scaling workload, on Linux and in QEMU'
	@echo '  test            all tests; ends with "N passed, N failed"'
	@echo '  linux-test      those that run on Linux, under the sanitizers too'
	@echo '  qemu-test       those that run in QEMU'
	@echo '  bench           how fast, beside other mallocs; QUICK=1: in 4 minutes, not 30'
	@echo '  bench-memory    what processes cost in memory and give back, beside other mallocs'
	@echo '  install         PREFIX=$(PREFIX) DESTDIR= LIBDIR= BINDIR= INCLUDEDIR= MANDIR='
	@echo '  uninstall       remove what install put there; with the same variables'
	@echo '  deb             Debian packages, in $(O)/deb'
	@echo '  deb-test        install, use and remove them in a system of its own; needs root'
	@echo '  app-test        real programs with and without the library;'
	@echo '                  APPS="git perl": only these'
	@echo '  setup-deb, setup-apps'
	@echo '                  install what deb and deb-test, or app-test, need'
	@echo '  qemu-debug      boot IMAGE, stopped, with GDB and the commands of'
	@echo '                  qemu/hakmem-gdb.py'
	@echo "  image           an image of SRC='case.c ...', the boot kit and the library:"
	@echo '                  OUT=case.elf, with IMAGE_CFLAGS=;'
	@echo '                  boot it with qemu/run.sh case.elf'
	@echo '  qemu-bench      what the library costs an image, beside newlib, and what is'
	@echo '                  required'
	@echo '  example         the example unikernel, from an installed copy of the library'
	@echo '  install-baremetal PREFIX=DIR'
	@echo '                  the bare-metal archive and its headers'
	@echo '  format          let clang-format lay out the sources'
	@echo '  clean           remove $(O)'
	@echo 'Variables:'
	@echo '  ARCH=$(ARCH)     the only one so far'
	@echo '  CROSS_COMPILE=  prefix of the bare-metal tools, as x86_64-linux-gnu-'
	@echo '  LLVM=1          clang, lld and the LLVM tools instead of gcc and binutils'
	@echo '  CC= CPPFLAGS= CFLAGS= CXXFLAGS= LDFLAGS='
	@echo '                  for Linux, also by the environment: behind our defaults, before'
	@echo '                  what nothing works without; CFLAGS=-flto: see platform/linux/'
	@echo '  O=DIR           where everything is built; now $(O)'
	@echo '  V=1             show the commands'
	@echo '  PEERS="NAME=/PATH.so ..."'
	@echo '                  more mallocs for bench and bench-memory'
	@echo '  W=1|2           1: warnings are errors, as in CI; 2: more warnings, none fatal'
	@echo '  DEBUG=1         -Og and CONFIG_HAK_DEBUG=y; of all switches 0, n and no mean off'
	@echo '  SAN=address|undefined|thread'
	@echo '                  the Linux build under a sanitizer'
	@echo '  CONFIG_HAK_X=y|n'
	@echo '                  an option of include/hakmem/config.h: $(CONFIGS)'

format:
	clang-format -i $(shell git ls-files '*.c' '*.h' '*.cc')

clean:
	rm -rf $(O)

-include $(shell find $(O) -name '*.d' 2>/dev/null)

.PHONY: all linux baremetal linux-programs images setup setup-test demo test-tools \
	test-builds test-programs qemu-builds test linux-test qemu-test help format clean
