/* SPDX-License-Identifier: MIT */
/*
 * The options that a program's environment sets, in one table, which HAKMEM_HELP prints.
 * A value that makes no sense counts as not set, and one line says so. Another line names
 * all unknown options. Programs that run with more rights than their caller ignore the
 * environment.
 *
 * A constructor reads the environment once. Before that libc has none, and the defaults
 * hold. Nothing here allocates.
 */
#define _GNU_SOURCE
#include "options.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#include "debug/choice.h"
#include "linux.h"

#define PREFIX	    "HAKMEM_"
#define NUMBER_MOST 999999999
#define TEXT_MOST   64 /* of what others wrote, so that the end of a line has room */

enum type {
	SWITCH,	 /* 0 or 1 */
	NUMBER,	 /* from least to most */
	CHOICE,	 /* one of the words; the value is its index */
	OUTPUT,	 /* 0, 1, or the name of a file */
	LETTERS, /* as hak_debug_choose() takes them, in a debug build */
	SAMPLES, /* from least to most, and perhaps a colon and the name of a file */
};

static const struct option {
	const char *name, *help;
	enum type type;
	long least, most, value;  /* the value is the default */
	const char *const *words; /* ends with NULL */
	const char *text;	  /* the default name of a file */
	unsigned file;		  /* which copy is of its name */
} options[HAK_NR_OPTIONS] = {
	[HAK_OPTION_DEBUG] = {
		.name = "HAKMEM_DEBUG",
		.help = "red zones, poison, who has allocated and freed; debug builds alone",
		.type = LETTERS, .most = 1, .text = "-",
	},
	[HAK_OPTION_DUMP] = {
		.name = "HAKMEM_DUMP",
		.help = "where all lies at exit, appended to FILE, for hakmem-map; %p: the pid",
		.type = OUTPUT, .most = 1, .text = "hakmem.%p.dump", .file = 1,
	},
	[HAK_OPTION_DUMP_SIGNAL] = {
		.name = "HAKMEM_DUMP_SIGNAL",
		.help = "the same by this signal, too; 0: by none",
		.type = NUMBER, .most = 64,
	},
	[HAK_OPTION_GUARD] = {
		.name = "HAKMEM_GUARD",
		.help = "N: one block of N is guarded by pages that fault; 0: none",
		.type = NUMBER, .most = NUMBER_MOST,
	},
	[HAK_OPTION_HELP] = {
		.name = "HAKMEM_HELP",
		.help = "1: print this table",
		.type = SWITCH, .most = 1,
	},
	[HAK_OPTION_LEAKS] = {
		.name = "HAKMEM_LEAKS",
		.help = "what is live at exit, by stack; 1: all blocks, N: samples of N bytes",
		.type = NUMBER, .most = NUMBER_MOST,
	},
	[HAK_OPTION_PROFILE] = {
		.name = "HAKMEM_PROFILE",
		.help = "a heap profile with a sample for so many bytes, at exit, to FILE",
		.type = SAMPLES, .most = NUMBER_MOST, .text = "hakmem.%p.heap", .file = 2,
	},
	[HAK_OPTION_PROFILE_SIGNAL] = {
		.name = "HAKMEM_PROFILE_SIGNAL",
		.help = "the profile is written by this signal, too; 0: by none",
		.type = NUMBER, .most = 64,
	},
	[HAK_OPTION_PURGE_DELAY_MS] = {
		.name = "HAKMEM_PURGE_DELAY_MS",
		.help = "freed memory is given back after this time; -1: only by malloc_trim()",
		.type = NUMBER, .least = -1, .most = 60000, .value = 500,
	},
	[HAK_OPTION_REAPER] = {
		.name = "HAKMEM_REAPER",
		.help = "a thread that gives memory back: if there are threads, always, or never",
		.type = CHOICE, .most = HAK_REAPER_NEVER,
		.words = (const char *const[]){ "auto", "1", "0", NULL },
	},
	[HAK_OPTION_STATS] = {
		.name = "HAKMEM_STATS",
		.help = "statistics at exit, on stderr or appended to [json:]FILE; %p: the pid",
		.type = OUTPUT, .most = 1,
	},
	[HAK_OPTION_THP] = {
		.name = "HAKMEM_THP",
		.help = "huge pages: for a large heap that grows, never, or wherever possible",
		.type = CHOICE, .most = HAK_THP_ALWAYS,
		.words = (const char *const[]){ "default", "never", "always", NULL },
	},
	[HAK_OPTION_TOP] = {
		.name = "HAKMEM_TOP",
		.help = "1: publish what each size of blocks has, once a second, for hakmem-top",
		.type = SWITCH, .most = 1,
	},
	[HAK_OPTION_VERBOSE] = {
		.name = "HAKMEM_VERBOSE",
		.help = "1: say what is set, and when the system refuses something",
		.type = SWITCH, .most = 1,
	},
};

/* What the environment sets. In most programs that is nothing, and no page of data is written. */
static PLATFORM_SPARSE struct {
	bool value_set;
	long value;
	const char *text; /* NULL: the default */
} settings[HAK_NR_OPTIONS];

/* These are copies: some programs write over their environment, to change their name. */
static PLATFORM_SPARSE char file_names[3][PATH_MAX];

static bool parse_number(const char *text, long *value)
{
	bool negative = *text == '-';

	text += negative;
	if (!*text || strlen(text) > 9)
		return false;
	for (*value = 0; *text; text++) {
		if (*text < '0' || *text > '9')
			return false;
		*value = *value * 10 + (*text - '0');
	}
	if (negative)
		*value = -*value;
	return true;
}

/* Is this the name of a file? Then a copy of it is made. */
static bool parse_file(const struct option *option, const char *text)
{
	char *copy = file_names[option->file];

	if (!*text || strlen(text) >= sizeof(file_names[0]))
		return false;
	settings[option - options].text = strcpy(copy, text);
	return true;
}

/* BYTES or BYTES:FILE */
static bool parse_samples(const struct option *option, const char *text, long *value)
{
	char number[16] = "";
	size_t length = strcspn(text, ":");

	if (length >= sizeof(number))
		return false;
	memcpy(number, text, length);
	return parse_number(number, value) &&
	       (!text[length] || parse_file(option, text + length + 1));
}

/* What is chosen holds at once. */
static bool options_letters(const struct option *option, const char *text)
{
	if (!IS_ENABLED(HAK_DEBUG_LAYER)) {
		hak_say("%s needs a library that was built with DEBUG=1", option->name);
		return true;
	}
	if (!hak_debug_choose(text, true))
		return false;
	settings[option - options].text = text; /* for print_values(), and nobody later */
	return true;
}

static bool options_parse(const struct option *option, const char *text)
{
	long value = 1;

	if (option->type == LETTERS)
		return options_letters(option, text);
	if (option->type == CHOICE) {
		for (value = 0; option->words[value]; value++)
			if (!strcmp(option->words[value], text))
				break;
	} else if (option->type == SAMPLES) {
		if (!parse_samples(option, text, &value))
			return false;
	} else if (!parse_number(text, &value)) {
		if (option->type != OUTPUT || !parse_file(option, text))
			return false;
		value = 1;
	}
	if (value < option->least || value > option->most)
		return false;
	settings[option - options].value = value;
	settings[option - options].value_set = true;
	return true;
}

/* What a value can be: "0|1", "-1..60000", "default|never|always", "0|1|FILE", "0..9[:FILE]". */
static void format_range(struct hak_line *line, const struct option *option)
{
	switch (option->type) {
	case NUMBER:
	case SAMPLES:
		hak_format(hak_line_append, line, "%ld..%ld%s", option->least, option->most,
			   option->type == SAMPLES ? "[:FILE]" : "");
		break;
	case LETTERS:
		hak_format(hak_line_append, line, "[FZPU-][,SIZE][;...]");
		break;
	case CHOICE:
		for (unsigned i = 0; option->words[i]; i++)
			hak_format(hak_line_append, line, "%s%s", i ? "|" : "", option->words[i]);
		break;
	default:
		hak_format(hak_line_append, line, "0|1%s", option->type == OUTPUT ? "|FILE" : "");
	}
}

static void format_value(struct hak_line *line, enum hak_option number)
{
	const struct option *option = &options[number];
	const char *text = hak_option_text(number);
	long value = hak_option(number);

	if (option->type == CHOICE)
		hak_format(hak_line_append, line, "%s", option->words[value]);
	else if (option->type == LETTERS || (text && value && option->type == OUTPUT))
		hak_line_append(line, text, strnlen(text, TEXT_MOST));
	else
		hak_format(hak_line_append, line, "%ld", value);
}

static void warn(const struct option *option, const char *text)
{
	struct hak_line range = { 0 }, value = { 0 }, given = { 0 };

	format_range(&range, option);
	format_value(&value, (enum hak_option)(option - options));
	hak_line_append(&given, text, strnlen(text, TEXT_MOST));
	hak_say("%s may be %s: using %s, not \"%s\"", option->name, range.text, value.text,
		given.text);
}

static void print_help(void)
{
	struct hak_output out = { .file = STDERR_FILENO };

	hak_output_begin(&out, "options by environment, with their defaults:");
	for (unsigned i = 0; i < HAK_NR_OPTIONS; i++) {
		struct hak_line range = { 0 }, value = { 0 };

		format_range(&range, &options[i]);
		format_value(&value, (enum hak_option)i);
		hak_format(hak_output_append, &out, "  %-22s %-20s %-8s %s\n", options[i].name,
			   range.text, value.text, options[i].help);
	}
	hak_output_flush(&out);
}

static void print_values(void)
{
	struct hak_output out = { .file = STDERR_FILENO };

	hak_output_name(&out);
	hak_format(hak_output_append, &out, "version " HAK_VERSION "%s runs with",
		   IS_ENABLED(CONFIG_HAK_HARDENED) ? ", hardened," : "");
	for (unsigned i = 0; i < HAK_NR_OPTIONS; i++) {
		struct hak_line value = { 0 };

		format_value(&value, (enum hak_option)i);
		hak_format(hak_output_append, &out, " %s=%s", options[i].name + strlen(PREFIX),
			   value.text);
	}
	hak_output_append(&out, "\n", 1);
	hak_output_flush(&out);
}

static bool is_known(const char *name, size_t length)
{
	for (unsigned i = 0; i < HAK_NR_OPTIONS; i++)
		if (!strncmp(options[i].name, name, length) && !options[i].name[length])
			return true;
	return false;
}

/* Unknown names are told, since a misspelt one would not be noticed otherwise. */
static void warn_of_unknown(void)
{
	struct hak_line names = { 0 };

	for (char **entry = environ; entry && *entry; entry++) {
		size_t length;

		if (strncmp(*entry, PREFIX, strlen(PREFIX)))
			continue;
		length = strcspn(*entry, "=");
		if (is_known(*entry, length))
			continue;
		hak_line_append(&names, " ", 1);
		hak_line_append(&names, *entry, length < TEXT_MOST ? length : TEXT_MOST);
		if (names.length > TEXT_MOST)
			break;
	}
	if (names.length)
		hak_say("unknown option%s; HAKMEM_HELP=1 lists all options", names.text);
}

void hak_options_read(void)
{
	const char *help;

	if (getauxval(AT_SECURE))
		return;
	help = getenv(options[HAK_OPTION_HELP].name);
	if (help && !strcmp(help, "1"))
		print_help(); /* while the defaults are in the table */
	for (unsigned i = 0; i < HAK_NR_OPTIONS; i++) {
		const char *text = getenv(options[i].name);

		if (text && !options_parse(&options[i], text))
			warn(&options[i], text);
	}
	warn_of_unknown();
	if (hak_option(HAK_OPTION_VERBOSE))
		print_values();
}

long hak_option(enum hak_option option)
{
	return settings[option].value_set ? settings[option].value : options[option].value;
}

const char *hak_option_text(enum hak_option option)
{
	return settings[option].text ? settings[option].text : options[option].text;
}
