# SPDX-License-Identifier: MIT
#
# Real programs under the library; included by the Makefile.

APP_PACKAGES := $(PACKAGES) libpython3.11-testsuite redis-server redis-tools sqlite3 \
		clang lld llvm git perl nodejs stress-ng time \
		python3 procps ruby nginx-light openjdk-17-jdk-headless util-linux \
		bubblewrap gdb valgrind libc6-dbg qemu-user
APPS ?=

setup-apps:
	@tests/setup.sh $(APP_PACKAGES)

app-test: $(L)/libhakmem.so
	@tests/apps/run.sh $(L) $(O)/app-logs $(APPS)

.PHONY: setup-apps app-test
