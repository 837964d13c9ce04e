/* SPDX-License-Identifier: MIT */
#ifndef HAKMEM_OPTIONS_H
#define HAKMEM_OPTIONS_H

/* What can be chosen by the environment of a program; the table is in options.c. */
enum hak_option {
	HAK_OPTION_DEBUG,
	HAK_OPTION_DUMP,
	HAK_OPTION_DUMP_SIGNAL,
	HAK_OPTION_GUARD,
	HAK_OPTION_HELP,
	HAK_OPTION_LEAKS,
	HAK_OPTION_PROFILE,
	HAK_OPTION_PROFILE_SIGNAL,
	HAK_OPTION_PURGE_DELAY_MS,
	HAK_OPTION_REAPER,
	HAK_OPTION_STATS,
	HAK_OPTION_THP,
	HAK_OPTION_TOP,
	HAK_OPTION_VERBOSE,
	HAK_NR_OPTIONS,
};

enum hak_reaper {
	HAK_REAPER_AUTO,
	HAK_REAPER_ALWAYS,
	HAK_REAPER_NEVER,
};

enum hak_thp {
	HAK_THP_DEFAULT,
	HAK_THP_NEVER,
	HAK_THP_ALWAYS,
};

/* Read all of them, with a line on stderr for each that makes no sense. */
void hak_options_read(void);

/* Its value, or its default before hak_options_read(). */
long hak_option(enum hak_option option);

/* The name of a file as it stands in the environment, of those that can have one; or NULL. */
const char *hak_option_text(enum hak_option option);

#endif
