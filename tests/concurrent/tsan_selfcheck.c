/*
 * tsan_selfcheck.c: a race on purpose, over a shared mapping as an arena is one.  It must be reported, or the silence of the
 * other programs proves nothing.  SPDX-License-Identifier: Apache-2.0
 */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

static uint64_t *words;

static void *writer(void *argument)
{
    (void)argument;
    for (uint64_t i = 0; i < 100000; i++)
        words[0] = i;
    return NULL;
}

int main(void)
{
    pthread_t thread;
    uint64_t sum = 0;
    int fd = memfd_create("tsan_selfcheck", MFD_CLOEXEC);

    if (fd < 0 || ftruncate(fd, 4096) != 0)
        return 0; /* passes, which fails the test */
    words = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (words == MAP_FAILED || pthread_create(&thread, NULL, writer, NULL) != 0)
        return 0;
    for (int i = 0; i < 100000; i++)
        sum += words[0];
    pthread_join(thread, NULL);
    printf("sum %llu\n", (unsigned long long)sum);
    return 0; /* ThreadSanitizer makes it 66 */
}
