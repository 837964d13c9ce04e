# SPDX-License-Identifier: MIT
#
# What a kernel's author uses: the installed archive and the example, the
# debugger, the bench. Included by the Makefile at the top.

# ------------------------------------------------------------------------- kit

KIT_HEADERS := $(wildcard include/hakmem/*.h) \
	       $(addprefix platform/baremetal/,balloon.h frames.h machine.h)

# Not where `make install` goes: its archive has the same name.
prefix_given = $(filter command environment,$(firstword $(origin PREFIX)))

# The archive goes with a config.h that says how it was built, so that a kernel need not.
hash := \#
built_with = $(if $(DEBUG),'$(hash)define CONFIG_HAK_DEBUG 1') $(foreach c,$(CONFIGS),$(if \
	$($(c)),'$(hash)define $(c) $(if $(call switch,$(c)),1,0)')) $(foreach n,$(NUMBERS),$(if \
	$($(n)),'$(hash)define $(n) $(call number,$(n))'))

ifneq ($(filter install-baremetal uninstall-baremetal,$(MAKECMDGOALS)),)
$(foreach v,PREFIX DESTDIR,$(call must_be_path,$(v)))
endif
kit_wants_prefix = @[ -n "$(prefix_given)" ] || { echo "$@: say where to: PREFIX=" >&2; exit 1; }
KIT_PC := hakmem-baremetal.pc
KIT_INSTALLED := $(addprefix include/hakmem/,$(notdir $(KIT_HEADERS))) lib/libhakmem.a \
		 lib/pkgconfig/$(KIT_PC)

install-baremetal: $(B)/libhakmem.a
	$(kit_wants_prefix)
	@mkdir -p $(DESTDIR)$(PREFIX)/include/hakmem $(DESTDIR)$(PREFIX)/lib/pkgconfig
	$(call say,INSTALL,$(DESTDIR)$(PREFIX))\
		cp $(KIT_HEADERS) $(DESTDIR)$(PREFIX)/include/hakmem/ && \
		printf '%s\n' '' '/* How the archive was built. */' $(built_with) | \
		sed -i '/^.define HAK_CONFIG_H$$/r /dev/stdin' \
			$(DESTDIR)$(PREFIX)/include/hakmem/config.h && \
		cp $(B)/libhakmem.a $(DESTDIR)$(PREFIX)/lib/ && \
		sed -e 's|@VERSION@|$(VERSION)|' -e 's|@BM_FLAGS@|$(BM_FLAGS)|' \
			platform/baremetal/$(KIT_PC).in \
			>$(DESTDIR)$(PREFIX)/lib/pkgconfig/$(KIT_PC)

# Of the directories only the one that is ours.
uninstall-baremetal:
	$(kit_wants_prefix)
	rm -f $(addprefix $(DESTDIR)$(PREFIX)/,$(KIT_INSTALLED))
	@rmdir $(DESTDIR)$(PREFIX)/include/hakmem 2>/dev/null || :

# The example sees nothing but what was installed, and a newlib. It has flags of its own:
# without MAKEFLAGS, CFLAGS= for Linux does not get there.
EXAMPLE := $(O)/example
$(EXAMPLE)/example.elf: $(wildcard qemu/example/*) $(B)/libhakmem.a $(KIT_HEADERS) \
			$(NEWLIB)/stamp
	+@$(MAKE) install-baremetal PREFIX=$(abspath $(EXAMPLE))/installed
	$(call say,MAKE,$@)MAKEFLAGS= $(MAKE) -s -B -C qemu/example \
		PREFIX=$(abspath $(EXAMPLE))/installed \
		NEWLIB=$(abspath $(NEWLIB)) O=$(abspath $(EXAMPLE)) CROSS_COMPILE=$(CROSS_COMPILE)
example: $(EXAMPLE)/example.elf
	@qemu/run.sh $<

# What their tests need; with newlib and GNU ld, so once only.
kit: $(EXAMPLE)/example.elf $(B)/size.elf $(B)/family.elf

.PHONY: install-baremetal uninstall-baremetal example kit

# ----------------------------------------------------------------------- bench

# newlib's malloc and free under other names, so that they can stand beside ours.
newlib_heap := $(B)/obj/newlib-heap.o
$(newlib_heap): $(NEWLIB)/stamp
	@mkdir -p $(B)/obj/newlib-heap
	$(call say,OBJCOPY,$@)cd $(B)/obj/newlib-heap && \
		$(BM_AR) x $(abspath $(NEWLIB))/lib/libc.a lib_a-mallocr.o lib_a-freer.o && \
		$(BM_LD) -r lib_a-mallocr.o lib_a-freer.o -o all.o && \
		$(BM_OBJCOPY) --prefix-symbols=newlib_ all.o $(abspath $@)

# TLSF=FOLDER, in which tlsf.c is: it stands beside them, too.
ifdef TLSF
tlsf := $(B)/obj/tlsf.o
$(tlsf): $(TLSF)/tlsf.c $(TLSF)/tlsf.h $(NEWLIB)/stamp
	$(call say,CC,$@)$(BM_CC) $(BM_CFLAGS) $(NEWLIB_CFLAGS) -w -DNDEBUG -c $< -o $@
endif

embedded := tests/bench/embedded
$(B)/embedded.elf: $(call bm_objects,$(embedded) $(BOOT) $(IMAGE_TESTED)) $(newlib_heap) $(tlsf) \
		   $(B)/libhakmem.a qemu/image.ld
	$(call say,LD,$@)$(BM_LD) $(BM_LDFLAGS) $(filter %.o %.a,$^) -o $@

qemu-bench: $(B)/embedded.elf $(B)/soak.elf
	+@$(MAKE) O=$(O)/bench-irqsave CONFIG_HAK_IRQSAVE=y NEWLIB=$(NEWLIB) \
		$(O)/bench-irqsave/baremetal/embedded.elf
	@tests/bench/embedded.sh $(B) $(O)/bench-irqsave/baremetal

.PHONY: qemu-bench

# ------------------------------------------------------- debug, and the balloon

balloon := tests/qemu/balloon tests/smp/cpus
silent  := tests/qemu/silent
pages   := tests/qemu/pages
dump    := tests/qemu/dump
stack   := tests/qemu/stack
cxx     := tests/qemu/cxx
cxx-replaced := tests/qemu/cxx_replaced
pressure := tests/qemu/pressure tests/smp/cpus
largest := tests/qemu/largest
peaks   := tests/qemu/peaks
array   := tests/qemu/array
parts   := tests/qemu/parts
small   := tests/small/small
soak    := tests/small/soak
latency := tests/small/latency
PLATFORM_IMAGES := balloon silent pages dump stack cxx cxx-replaced pressure largest peaks array \
		   parts small soak latency
$(foreach program,$(PLATFORM_IMAGES),$(eval $(call image,$(program))))
images: $(PLATFORM_IMAGES:%=$(B)/%.elf)

# A profile, as an outsider would link it: the archive has other slow paths then.
$(B)/profile.elf: $(call bm_objects,tests/qemu/profile $(BOOT) $(IMAGE_TESTED)) \
		  $(B)/libhakmem.a qemu/image.ld
	$(call say,LD,$@)$(BM_LD) $(BM_LDFLAGS) --gc-sections $(filter %.o %.a,$^) -o $@
images: $(B)/profile.elf

# A long uptime: 100 million operations, ten minutes or more.
qemu-soak: $(B)/soak.elf
	@qemu/run.sh $< --memory 80M --timeout 7200 -- 50 100 1000
.PHONY: qemu-soak

# The library's words where GS points to other things: see the tests.
smp-at := $(smp)
cpu-at := tests/qemu/cpu_at
ring3  := tests/qemu/ring3
$(foreach program,smp-at cpu-at ring3,$(eval $(call image,$(program))))
images: $(B)/smp-at.elf $(B)/cpu-at.elf $(B)/ring3.elf
$(B)/smp-at.elf $(B)/cpu-at.elf: \
	BM_LDFLAGS += $(if $(HAK_CPU_AT)$(filter -fpi%,$(BM_FLAGS)),,--defsym hak_cpu_at=0x28)

# Images in the upper half, with boot code of their own: of builds with BM_FLAGS=-mcmodel=kernel.
upper := tests/qemu/upper
upper_kernel := $(upper).S $(upper)_kernel
UPPER_IMAGES := upper window only_cpu
$(UPPER_IMAGES:%=$(B)/%.elf): $(B)/%.elf: $(B)/obj/tests/qemu/%.o \
		$(call bm_objects,$(upper_kernel) $(IMAGE_TESTED)) $(B)/libhakmem.a $(upper).ld
	$(call say,LD,$@)$(BM_LD) $(subst qemu/image.ld,$(upper).ld,$(BM_LDFLAGS)) --gc-sections \
		$(filter %.o %.a,$^) -o $@

# What is debugged, and how run.sh starts it: make qemu-debug IMAGE=... RUN_OPTIONS='--smp 2'.
# It stands where the function STOP is called first: in the demo, where its heap is largest.
ifndef IMAGE
IMAGE       := $(B)/scaling.elf
STOP        ?= free_all
endif
STOP        ?= main
RUN_OPTIONS ?=
qemu-debug: $(IMAGE)
	@STOP=$(STOP) qemu/debug.sh $(IMAGE) '$(RUN_OPTIONS)'

.PHONY: qemu-debug

# -------------------------------------------------- an image of anybody's sources

# make image SRC='case.c ...' OUT=case.elf IMAGE_CFLAGS='-DX=1 ...': wherever these files
# are, an image of them, the boot kit, what tests have in common, and the archive. Objects
# are below $(B)/image, in a folder for each OUT, and are always made: who knows what they
# were made of. Warnings are no errors there, unless IMAGE_CFLAGS says so. Paths of sources
# are not shortened, so that a debugger finds them.
SRC          ?=
OUT          ?=
IMAGE_CFLAGS ?=

ifneq ($(filter image,$(MAKECMDGOALS)),)
ifeq ($(strip $(SRC)),)
$(error image: say of what: SRC='case.c ...')
endif
ifeq ($(strip $(OUT)),)
$(error image: say where to: OUT=case.elf)
endif
missing := $(filter-out $(wildcard $(SRC)),$(SRC))
ifneq ($(missing),)
$(error image: there is no $(missing))
endif

image_folder  := $(B)/image$(abspath $(OUT)).obj
image_objects := $(patsubst %,$(image_folder)%.o,$(abspath $(SRC)))
$(image_objects): $(image_folder)%.o: % FORCE
	@mkdir -p $(@D)
	$(call say,CC,$@)$(BM_CC) $(filter-out -MMD -MP -ffile-prefix-map=%,$(BM_CFLAGS)) \
		$(BM_IMAGE) -Wno-error $(IMAGE_CFLAGS) -c $< -o $@

image: $(image_objects) $(call bm_objects,$(BOOT) $(IMAGE_TESTED)) $(B)/libhakmem.a qemu/image.ld
	@mkdir -p $(dir $(OUT))
	$(call say,LD,$(OUT))$(BM_LD) $(BM_LDFLAGS) $(filter %.o %.a,$^) -o $(OUT)
endif

.PHONY: image FORCE

# ------------------------------------------------------------------------ size

# As a kernel would link it that wants what it uses, and nothing else.
$(B)/size.elf $(B)/family.elf: $(B)/%.elf: $(B)/obj/tests/qemu/%.o $(B)/libhakmem.a
	$(call say,LD,$@)$(BM_LD) -nostdlib -e kernel_main --gc-sections -z noexecstack \
		-Map=$(B)/$*.map $^ -o $@
