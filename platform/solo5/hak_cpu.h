/* SPDX-License-Identifier: MIT */
/*
 * The words of the only CPU are a variable: on spt a program cannot set GS. The library is built
 * with this header (CONFIG_HAK_CPU_HEADER).
 */
#ifndef HAK_SOLO5_CPU_H
#define HAK_SOLO5_CPU_H

extern struct hak_cpu hak_solo5_cpu;

static inline struct hak_cpu *hak_cpu_self(void)
{
	return &hak_solo5_cpu;
}

#endif
