# SPDX-License-Identifier: MIT
#
# What a kernel's author uses: the installed archive and the example, the
# debugger, the bench. Included by the Makefile at the top.

# ------------------------------------------------------------------------- kit

KIT_HEADERS := $(wildcard include/hakmem/*.h) \
	       $(addprefix platform/baremetal/,balloon.h frames.h machine.h platform.h)

install-baremetal: $(B)/libhakmem.a
	@[ -n "$(PREFIX)" ] || { echo "install-baremetal: say where to: PREFIX=" >&2; exit 1; }
	@mkdir -p $(DESTDIR)$(PREFIX)/include/hakmem $(DESTDIR)$(PREFIX)/lib
	$(call say,INSTALL,$(DESTDIR)$(PREFIX))cp $(KIT_HEADERS) $(DESTDIR)$(PREFIX)/include/hakmem/ && \
		cp $(B)/libhakmem.a $(DESTDIR)$(PREFIX)/lib/

# The example sees nothing but what was installed, and a newlib.
EXAMPLE := $(O)/example
$(EXAMPLE)/example.elf: $(wildcard qemu/example/*) $(B)/libhakmem.a $(KIT_HEADERS) \
			$(NEWLIB)/stamp
	+@$(MAKE) install-baremetal PREFIX=$(abspath $(EXAMPLE))/installed
	$(call say,MAKE,$@)$(MAKE) -s -B -C qemu/example PREFIX=$(abspath $(EXAMPLE))/installed \
		NEWLIB=$(abspath $(NEWLIB)) O=$(abspath $(EXAMPLE)) CROSS_COMPILE=$(CROSS_COMPILE)
example: $(EXAMPLE)/example.elf
	@qemu/run.sh $<

.PHONY: install-baremetal example
