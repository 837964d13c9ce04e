# SPDX-License-Identifier: MIT
#
# Prints the sources that platform/unikraft/Makefile.uk compiles, each as SOURCE|VARIANT, with
# stand-ins for what Unikraft's build gives it.
addlib_s =
qstrip = $(1)
have_gcc = y
vprefix_src = $(1)_$(2)_$(3)_$(4)
LIBHAKMEM_BASE := $(abspath platform/unikraft)
include $(LIBHAKMEM_BASE)/Makefile.uk
$(info $(LIBHAKMEM_SRCS-y))
all: ;
