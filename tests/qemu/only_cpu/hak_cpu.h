/* SPDX-License-Identifier: MIT */
/*
 * The header that a kernel brings if it builds the library with CONFIG_HAK_CPU_HEADER=y: this
 * one has one CPU, so its private words are a variable.
 */
#ifndef ONLY_CPU_H
#define ONLY_CPU_H

extern struct hak_cpu only_cpu;

static inline struct hak_cpu *hak_cpu_self(void)
{
	return &only_cpu;
}

#endif
