/* SPDX-License-Identifier: MIT */
/*
 * The letters that somebody has chosen, in the manner of Linux's slub_debug, which has names where
 * there are sizes here:
 *
 *	choice	= part { ';' part }
 *	part	= letters { ',' size }
 *
 * A part without sizes is for all of them. Of two parts for a size, the last one counts. No letter
 * before a size means all letters, and '-' means none.
 *
 * Lock: none; the letters are chosen when nobody else is in the allocator.
 */
#include "debug/choice.h"

#include "debug/record.h"

_Atomic bool debug_is_on;
uint8_t debug_letters[CLASS_SLAB_LAST + 1];

/* The letter at @text as a bit, or 0. */
static uint8_t parse_letter(const char *text)
{
	switch (*text) {
	case 'F':
	case 'f':
		return LETTER_F;
	case 'Z':
	case 'z':
		return LETTER_Z;
	case 'P':
	case 'p':
		return LETTER_P;
	case 'U':
	case 'u':
		return LETTER_U;
	default:
		return 0;
	}
}

/* The letters at *@text. False if there is something else. */
static bool choice_letters(const char **text, uint8_t *letters)
{
	const char *start = *text;

	*letters = **text == ',' ? LETTER_F | LETTER_Z | LETTER_P | LETTER_U : 0;
	if (**text == ',')
		return true;
	if (**text == '-')
		++*text;
	else
		for (; parse_letter(*text); ++*text)
			*letters |= parse_letter(*text);
	return *text != start;
}

/* The number at *@text. False if there is none, or it is larger than any block. */
static bool parse_size(const char **text, size_t *size)
{
	const char *start = *text;

	for (*size = 0; **text >= '0' && **text <= '9' && *size < SIZE_MAX / 20; (*text)++)
		*size = *size * 10 + (size_t)(**text - '0');
	return *text != start && *size < SIZE_MAX / 20;
}

static bool parse_part(const char **text, uint8_t *chosen)
{
	uint8_t letters;
	size_t size;

	if (!choice_letters(text, &letters))
		return false;
	if (**text != ',')
		__builtin_memset(chosen, letters, CLASS_SLAB_LAST + 1);
	while (**text == ',') {
		++*text;
		if (!parse_size(text, &size))
			return false;
		chosen[size > SLAB_MAX ? 0 : class_of(size)] = letters;
	}
	return true;
}

bool hak_debug_choose(const char *text, bool apply)
{
	uint8_t chosen[CLASS_SLAB_LAST + 1] = { 0 };

	for (;; text++) {
		if (!parse_part(&text, chosen))
			return false;
		if (*text != ';')
			break;
	}
	if (*text || !apply)
		return !*text;
	if (!debug_is_on)
		record_begin_epoch();
	__builtin_memcpy(debug_letters, chosen, sizeof(chosen));
	for (unsigned i = 0; i <= CLASS_SLAB_LAST; i++)
		debug_is_on |= chosen[i] != 0;
	return true;
}

bool debug_has_tracks(void)
{
	unsigned any = 0;

	for (unsigned i = 0; i <= CLASS_SLAB_LAST; i++)
		any |= debug_letters[i];
	return any & LETTER_U;
}
