/* SPDX-License-Identifier: MIT */
/*
 * A small printf. Text goes to the sink in pieces as it is made, so there is
 * no buffer to overflow and nothing to allocate.
 *
 * Not in the C library's place but where there is none, or where calling it
 * might allocate: in the statistics and in the report of a bug.
 */
#include "base/format.h"

#define NUMBER_MOST 24 /* a sign, digits and a terminator */

struct conversion {
	bool left, zero, is_long;
	size_t width;
	size_t sign; /* characters that come before zeros */
	char number[NUMBER_MOST];
};

/* Flags, width and length at @format; returns what is behind them. */
static const char *parse(const char *format, struct conversion *conv)
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

/* The text of a number, behind a sign if it has one. */
static const char *number(struct conversion *conv, uint64_t value, unsigned radix, const char *sign)
{
	char *at = conv->number + NUMBER_MOST - 1;

	*at = '\0';
	do {
		*--at = "0123456789abcdef"[value % radix];
		value /= radix;
	} while (value);
	while (sign[conv->sign])
		*--at = sign[conv->sign++];
	return at;
}

static void pad(hak_sink *sink, void *ctx, char with, size_t length, size_t width)
{
	for (; length < width; length++)
		sink(ctx, &with, 1);
}

static bool is_number(char letter)
{
	return letter == 'd' || letter == 'u' || letter == 'x';
}

/* The text of an argument. A sign is given from its end. */
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

void hak_vformat(hak_sink *sink, void *ctx, const char *format, va_list args)
{
	while (*format) {
		const char *start = format, *text = NULL;
		struct conversion conv;
		size_t length;

		if (*format++ == '%') {
			format = parse(format, &conv);
			if (*format == '%')
				text = "%";
			else if (*format == 's' || *format == 'p')
				text = convert(&conv, *format, (uintptr_t)va_arg(args, void *));
			else if (is_number(*format))
				text = convert(&conv, *format,
					       conv.is_long ? va_arg(args, unsigned long)
							    : va_arg(args, unsigned int));
			format += text != NULL;
		}
		if (!text) { /* as it stands */
			while (*format && *format != '%')
				format++;
			sink(ctx, start, (size_t)(format - start));
			continue;
		}
		for (length = 0; text[length];)
			length++;
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

	while (length-- && line->length < sizeof(line->text) - 1)
		line->text[line->length++] = *text++;
	line->text[line->length] = '\0';
}
