/* SPDX-License-Identifier: MIT */
/*
 * A program for letters.sh: what it does right, and one crime of each kind, in C++.
 */
#include <cstdlib>
#include <cstring>
#include <new>
#include <string>
#include <thread>
#include <vector>

#include <sys/wait.h>
#include <unistd.h>

/* Before the letters are read, in a static program; freed when it ends. */
struct early {
	std::vector<char *> blocks;

	early()
	{
		for (size_t size = 1; size < 300000; size *= 2)
			blocks.push_back(new char[size]);
	}
	~early()
	{
		blocks[0] = static_cast<char *>(realloc(blocks[0], 5000));
		for (char *block : blocks)
			operator delete[](block);
	}
};
static early first __attribute__((init_priority(101)));

struct alignas(256) wide {
	char bytes[300];
};

static void work()
{
	std::vector<std::string> strings;

	for (int i = 0; i < 3000; i++) {
		strings.push_back(std::string(static_cast<size_t>(i % 700), 'x'));
		if (i % 3 == 0)
			strings.erase(strings.begin() + i / 6);
	}
	delete new wide;
	delete[] new wide[7];
	free(aligned_alloc(4096, 8192));
	free(realloc(calloc(10, 10), 100000));
}

static int fine()
{
	std::vector<std::thread> threads;
	int status = 1;

	for (int i = 0; i < 4; i++)
		threads.emplace_back(work);
	for (int i = 0; i < 10; i++) {
		pid_t child = fork();

		if (!child) {
			work();
			_exit(0);
		}
		waitpid(child, &status, 0);
		if (status)
			break;
	}
	for (std::thread &thread : threads)
		thread.join();
	return status != 0;
}

__attribute__((noinline)) static char *volatile *make()
{
	static char *volatile block;

	block = new char[24];
	return &block;
}

int main(int, char **argv)
{
	std::string crime = argv[1];
	char *volatile block = *make();

	if (crime == "fine")
		return fine();
	if (crime == "overflow")
		block[24] = '!';
	delete[] block;
	if (crime == "twice")
		delete[] block;
	if (crime == "late")
		block[5] = '!';
	return 0;
}
