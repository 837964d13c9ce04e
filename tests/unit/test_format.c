/* SPDX-License-Identifier: MIT */
/*
 * core/base/format.c: every conversion, with what C's printf() would make of it.
 */
#include "unit.h"

#include <base/format.h>

/* Without the attribute, since some formats here are wrong on purpose. */
static bool gives(const char *expected, const char *format, ...)
{
	va_list args;

	unit_text.length = 0;
	unit_text.text[0] = '\0';
	va_start(args, format);
	hak_vformat(unit_sink, &unit_text, format, args);
	va_end(args);
	return unit_text_is(expected);
}

static void format_plain(void)
{
	CHECK(gives("", ""));
	CHECK(gives("plain", "plain"));
	CHECK(gives("100%", "100%%"));
	CHECK(gives("%a%", "%%a%%"));
	CHECK(gives("", "%s", ""));
	CHECK(gives("[one][two]", "[%s][%s]", "one", "two"));
}

static void format_decimal(void)
{
	CHECK(gives("0", "%d", 0));
	CHECK(gives("-1", "%d", -1));
	CHECK(gives("2147483647", "%d", INT32_MAX));
	CHECK(gives("-2147483648", "%d", INT32_MIN));
	CHECK(gives("9223372036854775807", "%ld", INT64_MAX));
	CHECK(gives("-9223372036854775808", "%ld", INT64_MIN));
	CHECK(gives("4294967295", "%u", UINT32_MAX));
	CHECK(gives("18446744073709551615", "%lu", UINT64_MAX));
	CHECK(gives("18446744073709551615", "%zu", SIZE_MAX));
	CHECK(gives("18446744073709551615", "%llu", UINT64_MAX));
}

static void format_hexadecimal(void)
{
	CHECK(gives("0", "%x", 0));
	CHECK(gives("deadbeef", "%x", 0xdeadbeefu));
	CHECK(gives("123456789abcdef", "%lx", 0x123456789abcdefu));
	CHECK(gives("ffffffffffffffff", "%zx", SIZE_MAX));
	CHECK(gives("0x1234", "%p", (void *)0x1234));
	CHECK(gives("0x0", "%p", NULL));
}

static void format_width(void)
{
	CHECK(gives("   42|", "%5d|", 42));
	CHECK(gives("42   |", "%-5d|", 42));
	CHECK(gives("00042|", "%05d|", 42));
	CHECK(gives("-0042|", "%05d|", -42));
	CHECK(gives("  -42|", "%5d|", -42));
	CHECK(gives("123456|", "%5d|", 123456));
	CHECK(gives("-5|5|", "%0d|%0u|", -5, 5));
	CHECK(gives("42   |-42  |", "%-05d|%-05d|", 42, -42));
	CHECK(gives("-0000000000000000000000000000000000000000000000000007|", "%053d|", -7));
	CHECK(gives("0x0000000012|  abc|", "%012p|%05s|", (void *)0x12, "abc"));
	CHECK(gives("  abc|", "%5s|", "abc"));
	CHECK(gives("abc  |", "%-5s|", "abc"));
	CHECK(gives("abcdef|", "%5s|", "abcdef"));
	CHECK(gives("      0x12|", "%10p|", (void *)0x12));
	CHECK(gives("           1|", "%12lu|", 1ul));
}

/* What is not known is printed as it stands and takes no argument. */
static void format_unknown(void)
{
	CHECK(gives("%c%*u 1", "%c%*u %d", 1));
	CHECK(gives("%q 1", "%q %d", 1));
	CHECK(gives("%5q", "%5q"));
	CHECK(gives("%", "%"));
	CHECK(gives("a%", "a%"));
	CHECK(gives("a%-", "a%-"));
}

static void format_pieces(void)
{
	unit_text.length = 0;
	hak_format(unit_sink, &unit_text, "%s=%d", "a", 1);
	hak_format(unit_sink, &unit_text, ";%s=%d", "b", 2);
	CHECK(unit_text_is("a=1;b=2"));
	CHECK(unit_text.length == 7);
}

/* What the report of a bug does with. */
static void format_print(void)
{
	unit_text.length = 0;
	hak_print_text(unit_sink, &unit_text, "");
	hak_print_text(unit_sink, &unit_text, "a=");
	hak_print_number(unit_sink, &unit_text, 0, 10);
	hak_print_text(unit_sink, &unit_text, ";");
	hak_print_number(unit_sink, &unit_text, UINT64_MAX, 10);
	hak_print_text(unit_sink, &unit_text, ";");
	hak_print_number(unit_sink, &unit_text, 0xfedcba9876543210, 16);
	CHECK(unit_text_is("a=0;18446744073709551615;fedcba9876543210"));
}

void unit_format(void)
{
	TEST_RUN(format_plain);
	TEST_RUN(format_decimal);
	TEST_RUN(format_hexadecimal);
	TEST_RUN(format_width);
	TEST_RUN(format_unknown);
	TEST_RUN(format_pieces);
	TEST_RUN(format_print);
}
