/* SPDX-License-Identifier: MIT */
/*
 * A small printf. The text goes to a sink piece by piece as it is made, so there is no buffer
 * that could overflow, and nothing is allocated.
 *
 * It is for places that have no C library, or must not call it, because it might allocate: the
 * statistics above all. The report of a bug, which every image has, does with hak_print_text() and
 * hak_print_number(), so an image that prints nothing else links no printf.
 *
 * Lock: none. Failure: none; a conversion that is not known is printed as it stands.
 */
#include "base/format.h"

#include "base/base.h"

#define NUMBER_MOST 24 /* 20 digits, a sign, and the terminator */

/* One conversion, as the format asks for it. */
struct conversion {
	bool left, zero, is_long;
	size_t width;
	size_t sign; /* length of the sign, which stands before zeros */
	char number[NUMBER_MOST];
};

/* Read flags, width and length modifier at @format. Returns what is behind them. */
static const char *format_parse(const char *format, struct conversion *conv)
{
	conv->left = conv->zero = conv->is_long = false;
	conv->width = conv->sign = 0;
	for (;; format++) {
		if (*format == '-')
			conv->left = true;
		else if (*format == '0' && !conv->width)
			conv->zero = true;
		else if (*format >= '0' && *format <= '9')
			conv->width = conv->width * 10 + (size_t)(*format - '0');
		else if (*format == 'l' || *format == 'z')
			conv->is_long = true;
		else
			return format;
	}
}

/* Write the digits of a number before @end. Returns where they begin. */
static HAK_COLD NOINLINE char *digits(char *end, uint64_t value, unsigned radix)
{
	do {
		*--end = "0123456789abcdef"[value % radix];
		value /= radix;
	} while (value);
	return end;
}

/* The text of a number. The characters of @sign are given from the last to the first. */
static const char *number(struct conversion *conv, uint64_t value, unsigned radix, const char *sign)
{
	char *at = conv->number + NUMBER_MOST - 1;

	*at = '\0';
	at = digits(at, value, radix);
	while (sign[conv->sign])
		*--at = sign[conv->sign++];
	hak_assert(at >= conv->number);
	return at;
}

static HAK_COLD size_t length_of(const char *text)
{
	size_t length = 0;

	while (text[length])
		length++;
	return length;
}

void hak_print_text(hak_sink *sink, void *ctx, const char *text)
{
	sink(ctx, text, length_of(text));
}

void hak_print_number(hak_sink *sink, void *ctx, uint64_t value, unsigned radix)
{
	char buffer[NUMBER_MOST], *end = buffer + NUMBER_MOST, *start = digits(end, value, radix);

	sink(ctx, start, (size_t)(end - start));
}

/* Fill up to @width characters, if @length were printed. */
static void pad(hak_sink *sink, void *ctx, char with, size_t length, size_t width)
{
	for (; length < width; length++)
		sink(ctx, &with, 1);
}

/* The text of an argument. */
static const char *convert(struct conversion *conv, char letter, uint64_t value)
{
	switch (letter) {
	case 's':
		conv->zero = false;
		return (const char *)value;
	case 'p':
		return number(conv, value, 16, "x0");
	case 'd':
		if (!conv->is_long)
			value = (uint64_t)(int)value;
		if ((int64_t)value < 0)
			return number(conv, -value, 10, "-");
		return number(conv, value, 10, "");
	default:
		return number(conv, value, letter == 'x' ? 16 : 10, "");
	}
}

/* Is this the letter of a conversion? Pointers are as long as a long. */
static bool is_letter(struct conversion *conv, char letter)
{
	if (letter == 's' || letter == 'p')
		conv->is_long = true;
	return letter == 's' || letter == 'p' || letter == 'd' || letter == 'u' || letter == 'x';
}

void hak_vformat(hak_sink *sink, void *ctx, const char *format, va_list args)
{
	while (*format) {
		const char *start = format, *text = NULL;
		struct conversion conv;
		size_t length;

		if (*format++ == '%') {
			format = format_parse(format, &conv);
			if (*format == '%')
				text = "%";
			else if (is_letter(&conv, *format)) /* a pointer is passed as a long is */
				text = convert(&conv, *format,
					       conv.is_long ? va_arg(args, unsigned long)
							    : va_arg(args, unsigned int));
			format += text != NULL;
		}
		if (!text) { /* no conversion, or an unknown one */
			while (*format && *format != '%')
				format++;
			sink(ctx, start, (size_t)(format - start));
			continue;
		}
		length = length_of(text);
		if (conv.left) {
			sink(ctx, text, length);
			pad(sink, ctx, ' ', length, conv.width);
			continue;
		}
		if (!conv.zero)
			conv.sign = 0;
		sink(ctx, text, conv.sign);
		pad(sink, ctx, conv.zero ? '0' : ' ', length, conv.width);
		sink(ctx, text + conv.sign, length - conv.sign);
	}
}

void hak_format(hak_sink *sink, void *ctx, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	hak_vformat(sink, ctx, format, args);
	va_end(args);
}

void hak_line_append(void *ctx, const char *text, size_t length)
{
	struct hak_line *line = ctx;

	hak_assert(line->length < sizeof(line->text));
	while (length-- && line->length < sizeof(line->text) - 1)
		line->text[line->length++] = *text++;
	line->text[line->length] = '\0';
}
