/* SPDX-License-Identifier: MIT */
/*
 * What newlib asks of the system under it: the console as standard output and
 * error, an end, and a polite refusal of everything else. No sbrk(), on
 * purpose: newlib's own heap would need it, so an image that has it by accident
 * does not link.
 *
 * Compiled with newlib's headers, for images that use newlib.
 */
#include <errno.h>
#include <sys/stat.h>
#include <sys/types.h>

#include <machine.h>

#undef errno
extern int errno;

int close(int file);
int fstat(int file, struct stat *status);
int getpid(void);
int isatty(int file);
int kill(int process, int signal);
off_t lseek(int file, off_t offset, int whence);
int open(const char *name, int flags, ...);
ssize_t read(int file, void *data, size_t size);
ssize_t write(int file, const void *data, size_t size);
_Noreturn void _exit(int status);

static int refuse(int error)
{
	errno = error;
	return -1;
}

static int is_console(int file)
{
	return file >= 0 && file <= 2;
}

int close(int file)
{
	return is_console(file) ? 0 : refuse(EBADF);
}

int fstat(int file, struct stat *status)
{
	if (!is_console(file))
		return refuse(EBADF);
	*status = (struct stat){ .st_mode = S_IFCHR };
	return 0;
}

int getpid(void)
{
	return 1;
}

int isatty(int file)
{
	return is_console(file) ? 1 : refuse(EBADF) + 1;
}

int kill(int process, int signal)
{
	(void)process;
	(void)signal;
	return refuse(EINVAL);
}

off_t lseek(int file, off_t offset, int whence)
{
	(void)offset;
	(void)whence;
	return refuse(is_console(file) ? ESPIPE : EBADF);
}

int open(const char *name, int flags, ...)
{
	(void)name;
	(void)flags;
	return refuse(ENOENT);
}

/* There is no input: the end of the file at once. */
ssize_t read(int file, void *data, size_t size)
{
	(void)data;
	(void)size;
	return is_console(file) ? 0 : refuse(EBADF);
}

ssize_t write(int file, const void *data, size_t size)
{
	if (!is_console(file))
		return refuse(EBADF);
	hak_console_write(data, size);
	return (ssize_t)size;
}

_Noreturn void _exit(int status)
{
	hak_machine_exit(status);
}
