# SPDX-License-Identifier: MIT
#
# Benchmarks of the Linux library beside other mallocs: programs that know
# nothing of any of them, and scripts that run these with one after another.

bench_common := tests/bench/common
bench_memory := $(basename $(wildcard tests/bench/memory*.c)) $(bench_common)
bench_speed  := tests/bench/bench $(basename $(wildcard tests/bench/speed*.c)) $(bench_common)

# They are to call malloc as it is written, however clever the compiler.
BENCH_CFLAGS := -fno-builtin-malloc -fno-builtin-calloc -fno-builtin-realloc -fno-builtin-free
$(L)/obj/tests/bench/%.o: LINUX_CFLAGS += $(BENCH_CFLAGS)

$(L)/bench/memory: $(call linux_objects,$(bench_memory))
$(L)/bench/bench: $(call linux_objects,$(bench_speed))
$(L)/bench/program: $(call linux_objects,tests/bench/program $(bench_common))
$(L)/bench/memory $(L)/bench/bench $(L)/bench/program:
	@mkdir -p $(@D)
	$(call say,LD,$@)$(LINUX_LINK) $^ $(LINUX_LDFLAGS) -lm -o $@

bench-memory: $(L)/libhakmem.so $(L)/bench/memory
	@O=$(O) tests/bench/memory.sh

# The peers, the programs, and what counts and draws.
BENCH_PACKAGES  = $(PACKAGES) libmimalloc2.0 libjemalloc2 libtcmalloc-minimal4 gnuplot-nox \
		  valgrind redis-server redis-tools sqlite3 python3 berkeley-abc
setup-bench:
	@tests/setup.sh $(BENCH_PACKAGES)

bench-programs: $(L)/libhakmem.so $(L)/bench/memory $(L)/bench/bench $(L)/bench/program
bench: bench-programs
	@O=$(O) tests/bench/bench.sh

.PHONY: setup-bench bench bench-programs bench-memory
