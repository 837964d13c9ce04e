# SPDX-License-Identifier: MIT
#
# Images that play the kernels to which hakmem is ported: the port's sources, compiled against
# headers of the same names as in that kernel, a test, and the archive. Included by the Makefile.

# The headers as they are installed, which some of the sources are compiled with.
KIT_INCLUDE := $(B)/kit-include
$(KIT_INCLUDE)/stamp: $(KIT_HEADERS)
	@mkdir -p $(@D)/hakmem
	$(call say,CP,$(@D))cp $(KIT_HEADERS) $(@D)/hakmem/ && touch $@

# kernel_image NAME KERNEL SOURCES FLAGS
define kernel_image
$(B)/obj/kernels/$(1)/%.o: %.c $(FLAGS_STAMP) $(KIT_INCLUDE)/stamp
	@mkdir -p $$(@D)
	$$(call say,CC,$$@)$$(BM_CC) -Itests/kernels/$(2)/include $$(BM_CFLAGS) $$(BM_IMAGE) \
		-I$(KIT_INCLUDE) $(4) -c $$< -o $$@
$(B)/$(1).elf: $(addprefix $(B)/obj/kernels/$(1)/,$(addsuffix .o,$(3) tests/kernels/boot \
		tests/test tests/port/baremetal)) $(B)/obj/arch/$(ARCH)/boot/boot.S.o \
		$(B)/libhakmem.a qemu/image.ld
	$$(call say,LD,$$@)$$(BM_LD) $$(BM_LDFLAGS) $$(filter %.o %.a,$$^) -o $$@
endef

# Of a build with CONFIG_HAK_CPU_HEADER=y BM_FLAGS=-Iplatform/solo5.
$(eval $(call kernel_image,solo5,solo5,platform/solo5/solo5 platform/solo5/libc \
	tests/kernels/solo5/app,))

unikraft := platform/unikraft/glue tests/kernels/unikraft/kernel
unikraft_flags := -Iplatform/unikraft/include
$(eval $(call kernel_image,unikraft,unikraft,$(unikraft),$(unikraft_flags) \
	-DCONFIG_UKPLAT_LCPU_MAXCOUNT=4 -DCONFIG_LIBUKALLOC_IFSTATS=1))
$(eval $(call kernel_image,unikraft-vmem,unikraft,$(unikraft) platform/unikraft/vmem \
	platform/unikraft/thread,$(unikraft_flags) -DCONFIG_UKPLAT_LCPU_MAXCOUNT=1 \
	-DCONFIG_LIBUKVMEM=1 -DCONFIG_LIBHAKMEM_PURGE=1 -DCONFIG_LIBHAKMEM_THREAD_INTERVAL=100))
images: $(B)/unikraft.elf $(B)/unikraft-vmem.elf

# Of a build as platform/nanos/README.md says it; with the warnings of nanos.
$(eval $(call kernel_image,nanos,nanos,platform/nanos/hakmem tests/kernels/nanos/kernel,\
	-Wno-unused-parameter))
