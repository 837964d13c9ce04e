/* SPDX-License-Identifier: MIT */
/*
 * What newlib's printf() asks of a kernel. There is no sbrk(): the heap is the
 * library's.
 */
#include "kernel.h"

#include <errno.h>
#include <sys/stat.h>
#include <sys/types.h>

#undef errno
extern int errno;

int write(int file, const char *text, int length);
int read(int file, char *text, int length);
int close(int file);
int fstat(int file, struct stat *status);
int isatty(int file);
off_t lseek(int file, off_t offset, int whence);
int kill(int process, int signal);
int getpid(void);
_Noreturn void _exit(int status);

int write(int file, const char *text, int length)
{
	(void)file;
	console_write(text, (size_t)length);
	return length;
}

int read(int file, char *text, int length)
{
	(void)file;
	(void)text;
	(void)length;
	return 0;
}

int close(int file)
{
	(void)file;
	return 0;
}

int fstat(int file, struct stat *status)
{
	(void)file;
	*status = (struct stat){ .st_mode = S_IFCHR };
	return 0;
}

int isatty(int file)
{
	(void)file;
	return 1;
}

off_t lseek(int file, off_t offset, int whence)
{
	(void)file;
	(void)offset;
	(void)whence;
	errno = ESPIPE;
	return -1;
}

int kill(int process, int signal)
{
	(void)process;
	(void)signal;
	errno = EINVAL;
	return -1;
}

int getpid(void)
{
	return 1;
}

_Noreturn void _exit(int status)
{
	machine_exit(status);
}
