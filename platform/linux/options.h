/* SPDX-License-Identifier: MIT */
#ifndef HAKMEM_OPTIONS_H
#define HAKMEM_OPTIONS_H

/* What can be chosen by the environment of a program; the table is in options.c. */
enum hak_option {
	HAK_OPTION_REAPER,
	HAK_OPTION_PURGE_DELAY_MS,
	HAK_NR_OPTIONS,
};

/* Read all of them, with a line on stderr for each that makes no sense. */
void hak_options_read(void);

/* Its value, or its default before hak_options_read(). */
long hak_option(enum hak_option option);

#endif
