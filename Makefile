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
$(error the path of the sources, $(CURDIR), has a space: make cannot work there)
endif

# Options of include/hakmem/config.h that can be given on the command line.
CONFIGS := CONFIG_HAK_LARGE CONFIG_HAK_DEBUG CONFIG_HAK_IRQSAVE CONFIG_HAK_MOVE CONFIG_HAK_WINDOW \
	   CONFIG_HAK_CPU_HEADER CONFIG_HAK_HARDENED
# Numbers of platform/baremetal/machine.h likewise.
NUMBERS := HAK_ADDRESS_BITS HAK_CPU_AT

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

# $(O) is what `make clean` removes: it is new, empty, or a build made it or all folders in it,
# and it is neither the source tree nor in it, unless beside its folders.
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
ifneq ($(filter-out $(patsubst %/flags,%,$(wildcard $(O)/*/flags)),$(wildcard $(O)/* $(O)/.[!.]*)),)
$(error O=$(O) has files in it that no build made: give a new folder, or an empty one)
endif
endif

# One that is written into files, or that another make is called with in another folder.
must_be_path = $(if $(filter-out 0 1,$(words $($(1))))$(filter-out /%,$($(1))),\
	       $(error $(1)=$($(1)) must begin with / and have no spaces))

# What is on or off: empty, 0, n and no mean off, and 1, y and yes mean on.
switch = $(strip $(if $(filter 0 n no,$($(1))),,$(if $(filter-out 1 y yes,$($(1))),\
	 $(error $(1)=$($(1)) is not yes or no: give $(1)=1 or $(1)=0),$($(1)))))
number = $(if $(shell printf %u '$($(1))' >/dev/null 2>&1 && echo y),$($(1)),\
	 $(error $(1)=$($(1)) is no number))
override DEBUG := $(call switch,DEBUG)
override LLVM  := $(call switch,LLVM)
override V     := $(call switch,V)
override GAPS  := $(call switch,GAPS)
export DEBUG LLVM GAPS # for tests that call make again; what is overridden is not by itself
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
# An image gets smaller by them, and no call takes more instructions: registers are not
# saved around loops, and no jump leads to a part of a function that lies elsewhere.
SIZE_FLAGS := -fira-region=one -fno-reorder-blocks-and-partition
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
SIZE_FLAGS :=
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
NEEDED   += $(if $(GAPS),-DHAK_GAPS=1)
NEEDED   += $(foreach c,$(CONFIGS),$(if $($(c)),-D$(c)=$(if $(call switch,$(c)),1,0)))
COMMON   := $(DEFAULTS) $(NEEDED)
ifneq ($(DEBUG),)
ifneq ($(CONFIG_HAK_DEBUG),)
$(error DEBUG=1 and CONFIG_HAK_DEBUG: give only one of them)
endif
endif

LINUX_INCLUDES := -Iinclude -Icore -Iarch/$(ARCH) -Iplatform/linux
# For samples: clang makes no unwind tables of what is freestanding.
LINUX_NEEDED   := $(NEEDED) -fPIC -fasynchronous-unwind-tables $(LINUX_INCLUDES) \
		  $(if $(SAN),-fsanitize=$(SAN) -fno-sanitize-recover=all \
		  -fno-omit-frame-pointer)
LINUX_CFLAGS   := $(DEFAULTS) $(CPPFLAGS) $(CFLAGS) $(LINUX_NEEDED)
LINUX_FASTPATH := $(if $(CLANG),,-fno-tree-slsr)
# Objects of link-time optimisation are nothing to GNU ld without its plugin.
LINUX_LINK     := $(CC) $(CFLAGS) $(if $(and $(LTO),$(CLANG)),-fuse-ld=lld) \
		  -Wl,-z,now,-z,relro $(LDFLAGS)
LINUX_LDFLAGS  := $(if $(SAN),-fsanitize=$(SAN)) -pthread
MERGE          := $(if $(LTO),$(LINUX_LINK) -r -nostdlib \
		  $(if $(CLANG),,-flinker-output=nolto-rel),$(HOSTLD) -r)

BM_NEEDED   := -ffreestanding -mno-red-zone -ffunction-sections -fdata-sections
BM_NEEDED   += $(foreach n,$(NUMBERS),$(if $($(n)),-D$(n)=$(call number,$(n))))
BM_INCLUDES := -Iinclude -Icore -Iarch/$(ARCH) -Iplatform/baremetal
# What is usual, then what the user says (BM_FLAGS), then what nothing works without.
BM_CFLAGS   := $(COMMON) $(BM_INCLUDES) -fno-pie -fno-stack-protector -fcf-protection=none \
	       -fno-asynchronous-unwind-tables $(BM_FLAGS) $(BM_NEEDED)
BM_KERNEL   := -mgeneral-regs-only
# Link-time optimisation is for the core alone, and done when its objects are merged. So no
# archive has anything in it but machine code, and any linker of a kernel takes it.
BM_LTO      := $(filter -flto%,$(BM_FLAGS))
BM_CORE     := $(BM_CFLAGS) $(BM_KERNEL) $(FASTPATH_FLAGS) $(SIZE_FLAGS)
BM_MERGE    := $(if $(BM_LTO),$(BM_CC) $(filter-out -MMD -MP,$(BM_CORE)) -nostdlib \
	       $(if $(LLVM),-fuse-ld=lld,-flinker-output=nolto-rel),$(BM_LD)) -r
BM_CFLAGS   += $(if $(BM_LTO),-fno-lto)
BM_IMAGE    := $(BM_KERNEL) -Itests -Iqemu -Iarch/$(ARCH)/boot
BM_LDFLAGS  := -nostdlib -T qemu/image.ld -z max-page-size=4096 -z noexecstack --build-id=none

# --------------------------------------------------------------------- sources

# What only the hardened build has, and what only the debug build has. One that is both is hardened.
HARDENED_ONLY := $(basename $(wildcard core/harden/*.c)) core/cache/quarantine \
		 platform/linux/hardened
DEBUG_ONLY    := $(basename $(wildcard core/debug/*.c)) core/harden/heap core/harden/walk \
		 platform/linux/debug
layer         := $(if $(call switch,CONFIG_HAK_HARDENED),$(HARDENED_ONLY),\
		 $(if $(DEBUG)$(call switch,CONFIG_HAK_DEBUG),$(DEBUG_ONLY)))
left_out      := $(filter-out $(layer),$(HARDENED_ONLY) $(DEBUG_ONLY))
CORE       := $(filter-out $(left_out),$(basename $(wildcard core/*/*.c)))
SHARED     := platform/linux/early_init platform/linux/fork_raw platform/linux/unwind
STATIC     := platform/linux/fork_static platform/linux/unwind_static
LINUX      := $(filter-out $(SHARED) $(STATIC) $(left_out),\
	      $(basename $(wildcard platform/linux/*.c)))
BAREMETAL  := $(basename $(wildcard platform/baremetal/*.c)) $(wildcard platform/baremetal/*.S)
BOOT       := $(basename $(wildcard arch/$(ARCH)/boot/*.c)) $(wildcard arch/$(ARCH)/boot/*.S) \
	      qemu/boot qemu/exit

L := $(O)/linux
B := $(O)/baremetal
linux_objects = $(patsubst %,$(L)/obj/%.o,$(1))
bm_objects    = $(patsubst %,$(B)/obj/%.o,$(1))

# What a build was made with: objects are made again when it changes.
FLAGS_STAMP := $(O)/flags
flags := $(LINUX_LINK) $(LINUX_CFLAGS) $(CXXFLAGS) $(BM_CC) $(BM_CORE)
goals := $(filter-out help clean distclean format lint uninstall uninstall-baremetal setup%,\
	 $(or $(MAKECMDGOALS),$(.DEFAULT_GOAL)))
# Without a compiler, a hint. (The tests have their own, some goals need none, and a setup
# beside them may be about to install it.)
no_tool  = $(firstword $(foreach tool,$(1),$(if $(shell command -v $(tool)),,$(tool))))
hint_gcc   := run 'make setup'
hint_clang := run 'make setup-test'
hint_other := CC, BM_CC or CROSS_COMPILE is wrong
hint_of  = $(hint_$(if $(filter gcc ld,$(1)),gcc,$(if $(filter clang ld.lld,$(1)),clang,other)))
compiled := $(if $(filter setup%,$(MAKECMDGOALS)),,$(filter-out test check linux-test test-long \
	    dist deb,$(goals)))
host_tools := $(if $(compiled),$(firstword $(CC)) $(HOSTLD))
bm_tools   := $(if $(filter-out linux linux-programs install,$(compiled)),\
	      $(firstword $(BM_CC)) $(BM_LD))
$(foreach tool,$(call no_tool,$(host_tools) $(bm_tools)),\
	$(error no $(tool): $(call hint_of,$(tool))))
ifneq ($(goals),)
$(shell mkdir -p $(O))
ifneq ($(strip $(file <$(FLAGS_STAMP))),$(strip $(flags)))
$(file >$(FLAGS_STAMP),$(flags))
endif
endif

all: linux baremetal
# The hardened library stands beside the default one, unless all of the build is hardened, or is
# for tests.
HARDENED := $(if $(call switch,CONFIG_HAK_HARDENED)$(DEBUG)$(SAN),,$(L)/libhakmem-hardened.so)
linux: $(L)/libhakmem.so $(L)/libhakmem.a $(HARDENED)
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
		-Wl,--sort-section=name \
		-Wl,-soname,$(SONAME) \
		-Wl,--version-script=platform/linux/exports.map $(LINUX_LDFLAGS) \
		$(filter %.o,$^) -o $@
	@ln -sf libhakmem.so $(L)/$(SONAME)

# The same sources once more, with a name of its own, since it is another library.
$(L)/hardened/core/%.o: core/%.c $(FLAGS_STAMP)
	@mkdir -p $(@D)
	$(call say,CC,$@)$(CC) $(LINUX_CFLAGS) $(HARDEN) -ffreestanding $(LINUX_FASTPATH) \
		-c $< -o $@
$(L)/hardened/platform/%.o: platform/%.c $(FLAGS_STAMP)
	@mkdir -p $(@D)
	$(call say,CC,$@)$(CC) $(LINUX_CFLAGS) $(HARDEN) -fno-builtin-malloc $(LINUX_FASTPATH) \
		-c $< -o $@
$(L)/hardened/$(OPERATORS).o: $(OPERATORS).cc $(FLAGS_STAMP)
	@mkdir -p $(@D)
	$(call say,CXX,$@)$(CC) -x c++ $(OPERATORS_FLAGS) $(HARDEN) -DHAK_CXX_OPTIONAL -c $< -o $@
HARDEN := -DCONFIG_HAK_HARDENED=1
$(L)/libhakmem-hardened.so: $(patsubst %,$(L)/hardened/%.o,$(CORE) $(LINUX) $(HARDENED_ONLY) \
		$(SHARED) $(OPERATORS)) platform/linux/exports.map
	$(call say,LD,$@)$(LINUX_LINK) -shared -Wl,-z,nodelete,-z,initfirst \
		-Wl,-soname,$(HARDENED_SONAME) \
		-Wl,--version-script=platform/linux/exports.map $(LINUX_LDFLAGS) \
		$(filter %.o,$^) -o $@

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
	$(call say,CC,$@)$(BM_CC) $(BM_CORE) -c $< -o $@

$(B)/obj/platform/%.o: platform/%.c $(FLAGS_STAMP)
	@mkdir -p $(@D)
	$(call say,CC,$@)$(BM_CC) $(BM_CFLAGS) $(BM_KERNEL) -c $< -o $@

$(B)/obj/%.o: %.c $(FLAGS_STAMP)
	@mkdir -p $(@D)
	$(call say,CC,$@)$(BM_CC) $(BM_CFLAGS) $(BM_IMAGE) -c $< -o $@

# Exceptions pass through it.
$(B)/obj/platform/baremetal/operators.o: BM_KERNEL += -fasynchronous-unwind-tables

# Kernels in C++, without exceptions and without its library.
BM_CXX := -x c++ $(filter-out $(c_only),$(BM_CFLAGS)) $(BM_IMAGE) -std=c++17 -nostdinc++ \
	  -fno-exceptions -fno-rtti -pedantic
$(B)/obj/%.o: %.cc $(FLAGS_STAMP)
	@mkdir -p $(@D)
	$(call say,CXX,$@)$(BM_CC) $(BM_CXX) -c $< -o $@
$(B)/obj/tests/qemu/cxx_replaced.o: tests/qemu/cxx.cc $(FLAGS_STAMP)
	@mkdir -p $(@D)
	$(call say,CXX,$@)$(BM_CC) $(BM_CXX) -DCXX_REPLACED -c $< -o $@

$(B)/obj/%.S.o: %.S $(FLAGS_STAMP)
	@mkdir -p $(@D)
	$(call say,AS,$@)$(BM_CC) $(BM_CFLAGS) -c $< -o $@

# The core as one object, with the names of a library, and a section for each
# function, so that --gc-sections drops what an image does not use; the platform
# piece by piece, so that a kernel can have its own instead of any of them.
$(B)/hakmem.o: $(call bm_objects,$(CORE))
	$(call say,LD,$@)$(BM_MERGE) $^ -o $@ && \
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
	  platform/linux/mallinfo,$(LINUX)) platform/linux/unwind \
	  tests/test tests/port/linux)

# Sources of each program, which is built for both platforms where it can be.
unit    := $(filter-out $(if $(call switch,CONFIG_HAK_HARDENED),,tests/unit/test_harden),\
	   $(basename $(wildcard tests/unit/*.c))) tests/fake
model   := $(basename $(wildcard tests/model/*.c)) tests/fake
fault   := $(basename $(wildcard tests/fault/*.c)) tests/fake
stress  := $(basename $(wildcard tests/stress/*.c))
full    := tests/full/full tests/fake
samples := tests/samples/samples
guard   := tests/samples/guard tests/samples/fault_linux
guard-image := tests/samples/guard tests/samples/fault_baremetal tests/protect_baremetal
crimes  := tests/harden/crimes tests/harden/catch_linux
crimes-image := tests/harden/crimes tests/harden/catch_baremetal tests/protect_baremetal
letters := tests/debug/letters tests/harden/catch_linux
letters-image := tests/debug/letters tests/harden/catch_baremetal
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
region  := tests/smp/region tests/smp/cpus tests/smp/traffic
last-resort := tests/smp/last_resort tests/smp/cpus
pools   := tests/smp/pools tests/smp/cpus tests/smp/traffic
preempt := tests/smp/preempt tests/smp/cpus tests/smp/traffic

LINUX_PROGRAMS := unit model fault stress full samples guard death provider scaling idle
IMAGES         := unit model fault samples guard-image scaling pair status idle smp preempt \
		  smp-cost fini region last-resort memory-map pools

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
$(foreach program,$(LINUX_PROGRAMS) crimes letters,$(eval $(call linux_program,$(program))))
$(foreach program,$(filter-out scaling,$(IMAGES)) crimes-image letters-image,\
	$(eval $(call image,$(program))))

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
		 musl-tools musl-dev gdb pkgconf mandoc man-db spin qemu-user cmake codespell \
		 python3

setup:
	@tests/setup.sh $(PACKAGES)
setup-test:
	@tests/setup.sh $(TEST_PACKAGES)

demo: $(L)/scaling $(B)/scaling.elf
	@$(L)/scaling
	@qemu/run.sh $(B)/scaling.elf

include tests/kernels/kernels.mk
include tests/suites.mk
include platform/linux/install.mk
include tests/apps/apps.mk

help:
	@echo 'Targets, and how long they take on two CPUs where that is more than a minute:'
	@echo '  all             libraries for Linux and bare metal, the demo image (default)'
	@echo '  linux           $(L)/libhakmem.so and .a'
	@echo '  baremetal       $(B)/libhakmem.a'
	@echo '  setup           install the Debian packages that building and the demo need'
	@echo '  setup-test      install those that the tests and newlib need, too'
	@echo '  setup-bench     install other mallocs, and programs, for the benchmarks'
	@echo '  setup-deb, setup-apps'
	@echo '                  install what deb and deb-test, or app-test, need'
	@echo '  demo            the scaling workload, on Linux and in QEMU'
	@echo '  test, check     all tests; ends with "N passed, N failed"; 15 minutes'
	@echo '  linux-test      those that run on Linux, under the sanitizers too; 12 minutes'
	@echo '  qemu-test       those that run in QEMU; 5 minutes'
	@echo '  test-long       more of the same, and real programs; two hours; after setup-apps'
	@echo '  lint            how the sources are written'
	@echo '  bench           how fast, beside other mallocs; 30 minutes, QUICK=1: 4;'
	@echo '                  ONLY=REGEX: only these workloads; TURNS=N: so many turns;'
	@echo '                  LIST=1: say what they are, and do nothing else'
	@echo '  bench-memory    what processes cost in memory and give back, beside other'
	@echo '                  mallocs; 5 minutes'
	@echo '  install         PREFIX=$(PREFIX) DESTDIR= LIBDIR= BINDIR= INCLUDEDIR= MANDIR='
	@echo '                  STRIP=: with the debug information in the library'
	@echo '  uninstall       remove what install put there; with the same variables'
	@echo '  deb             Debian packages, in $(O)/deb; 2 minutes'
	@echo '  deb-test        install, use and remove them in a system of its own; needs root'
	@echo '  dist            $(DIST).tar.gz, the sources as they are here'
	@echo '  distcheck       build, install and uninstall what dist packs; elsewhere, it has to'
	@echo '                  give the same bytes'
	@echo '  app-test        real programs with and without the library; 40 minutes;'
	@echo '                  APPS="git perl": only these'
	@echo '  example         the example unikernel, from an installed copy of the library'
	@echo '  qemu-debug      boot IMAGE= with GDB and the commands of qemu/hakmem-gdb.py, and'
	@echo "                  stop in the function STOP=; RUN_OPTIONS='--smp 2': options of"
	@echo '                  qemu/run.sh; without IMAGE=, the demo with its heap full'
	@echo "  image           an image of SRC='case.c ...', the boot kit and the library:"
	@echo '                  OUT=case.elf, with IMAGE_CFLAGS=;'
	@echo '                  boot it with qemu/run.sh case.elf'
	@echo '  qemu-bench      what the library costs an image, beside newlib, and what is'
	@echo '                  required; beside TLSF, too, with TLSF=FOLDER of tlsf.c'
	@echo '  qemu-soak       100 million operations in an image of 80 MiB; ten minutes or more'
	@echo '  install-baremetal PREFIX=DIR'
	@echo '                  the bare-metal archive, its headers, and hakmem-baremetal.pc for'
	@echo '                  pkg-config; uninstall-baremetal removes them'
	@echo '  format          let clang-format lay out the sources'
	@echo '  clean, distclean'
	@echo '                  remove $(O); nothing is built anywhere else'
	@echo 'Variables:'
	@echo '  ARCH=$(ARCH)     the only one so far'
	@echo '  CROSS_COMPILE=  prefix of the bare-metal tools, as x86_64-linux-gnu-'
	@echo '  BM_CC= BM_FLAGS='
	@echo '                  compiler for bare metal, and flags behind the defaults'
	@echo '  LLVM=1          clang, lld and the LLVM tools instead of gcc and binutils'
	@echo '  CC= CPPFLAGS= CFLAGS= CXXFLAGS= LDFLAGS='
	@echo '                  for Linux, also by the environment: behind our defaults, before'
	@echo '                  what nothing works without; CFLAGS=-flto: see platform/linux/'
	@echo '  O=DIR           where everything is built; now $(O)'
	@echo '  V=1             show the commands'
	@echo '  JOBS=$(JOBS)          so many suites of tests run at once; and compilers for them,'
	@echo '                  unless -j says how many'
	@echo '  PEERS="NAME=/PATH.so ..."'
	@echo '                  more mallocs for bench and bench-memory'
	@echo '  NEWLIB_SOURCE=$(NEWLIB_SOURCE)'
	@echo '                  what newlib is built of, for the tests and the example'
	@echo '  W=1|2           1: warnings are errors, as in CI; 2: more warnings, none fatal'
	@echo '  DEBUG=1         -Og and CONFIG_HAK_DEBUG=y; of all switches 0, n and no mean off'
	@echo '  SAN=address|undefined|thread'
	@echo '                  the Linux build under a sanitizer'
	@echo '  CONFIG_HAK_X=y|n'
	@echo '                  an option of include/hakmem/config.h:'
	@printf '                    %s\n' $(CONFIGS)
	@echo '  HAK_ADDRESS_BITS= HAK_CPU_AT='
	@echo '                  bare metal: bits of an address (36), and how far behind GS the'
	@echo '                  words of a CPU lie (0): platform/baremetal/README.md'

lint: lint-tools
	@tests/lint/run.sh

DIST := $(O)/hakmem-$(VERSION)
dist:
	$(call say,DIST,$(DIST).tar.gz)platform/linux/dist.sh $(O) $(VERSION)

distcheck: dist linux baremetal
	@tests/install/dist.sh $(DIST).tar.gz

format: format-tools
	clang-format -i $(shell git ls-files '*.c' '*.h' '*.cc')

clean distclean:
	rm -rf $(O)

-include $(shell find $(O) -name '*.d' 2>/dev/null)

.PHONY: all linux baremetal linux-programs images setup setup-test demo help lint dist distcheck \
	format clean distclean
