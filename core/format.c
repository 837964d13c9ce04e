/* SPDX-License-Identifier: MIT */
/*
 * A small printf. Text goes to the sink in pieces as it is made, so there is
 * no buffer to overflow and nothing to allocate.
 *
 * Not in the C library's place but where there is none, or where calling it
 * might allocate: in the statistics and in the report of a bug.
 */
#include "format.h"

struct conversion {
	bool left, zero, is_long;
	int width;
};

struct output {
	hak_sink *sink;
	void *ctx;
};

static void put(struct output *out, const char *text, size_t length)
{
	if (length)
		out->sink(out->ctx, text, length);
}

static void pad(struct output *out, char with, int n)
{
	for (; n > 0; n--)
		put(out, &with, 1);
}

static void put_text(struct output *out, const struct conversion *conv, const char *text)
{
	size_t length = 0;

	while (text[length])
		length++;
	if (!conv->left)
		pad(out, ' ', conv->width - (int)length);
	put(out, text, length);
	if (conv->left)
		pad(out, ' ', conv->width - (int)length);
}

static void put_number(struct output *out, const struct conversion *conv, uint64_t value,
		       unsigned radix, const char *sign)
{
	char digits[20];
	size_t n = sizeof(digits);
	int length;

	do {
		digits[--n] = "0123456789abcdef"[value % radix];
		value /= radix;
	} while (value);
	length = (int)(sizeof(digits) - n);
	for (const char *s = sign; *s; s++)
		length++;
	if (!conv->left && !conv->zero)
		pad(out, ' ', conv->width - length);
	for (; *sign; sign++)
		put(out, sign, 1);
	if (!conv->left && conv->zero)
		pad(out, '0', conv->width - length);
	put(out, digits + n, sizeof(digits) - n);
	if (conv->left)
		pad(out, ' ', conv->width - length);
}

static const char *parse(const char *format, struct conversion *conv, int star)
{
	*conv = (struct conversion){ 0 };
	for (;; format++) {
		if (*format == '-')
			conv->left = true;
		else if (*format == '0')
			conv->zero = true;
		else
			break;
	}
	if (*format == '*') {
		conv->width = star;
		format++;
	}
	for (; *format >= '0' && *format <= '9'; format++)
		conv->width = conv->width * 10 + (*format - '0');
	for (; *format == 'l' || *format == 'z'; format++)
		conv->is_long = true;
	return format;
}

/* Is the width of the conversion at @format an argument? */
static bool has_star(const char *format)
{
	while (*format == '-' || *format == '0')
		format++;
	return *format == '*';
}

void hak_vformat(hak_sink *sink, void *ctx, const char *format, va_list args)
{
	struct output out = { sink, ctx };
	struct conversion conv;
	int64_t value;
	char c;

	while (*format) {
		const char *start = format;

		while (*format && *format != '%')
			format++;
		put(&out, start, (size_t)(format - start));
		if (!*format)
			break;
		start = format++;
		format = parse(format, &conv, has_star(format) ? va_arg(args, int) : 0);
		switch (*format) {
		case 's':
			put_text(&out, &conv, va_arg(args, const char *));
			break;
		case 'c':
			c = (char)va_arg(args, int);
			put(&out, &c, 1);
			break;
		case 'd':
			value = conv.is_long ? va_arg(args, long) : va_arg(args, int);
			put_number(&out, &conv, value < 0 ? -(uint64_t)value : (uint64_t)value, 10,
				   value < 0 ? "-" : "");
			break;
		case 'u':
		case 'x':
			put_number(&out, &conv,
				   conv.is_long ? va_arg(args, unsigned long)
						: va_arg(args, unsigned int),
				   *format == 'u' ? 10 : 16, "");
			break;
		case 'p':
			put_number(&out, &conv, (uintptr_t)va_arg(args, void *), 16, "0x");
			break;
		case '%':
			put(&out, "%", 1);
			break;
		default:
			put(&out, start, (size_t)(format - start));
			continue;
		}
		format++;
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
