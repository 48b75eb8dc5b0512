/* A wall clock that jumps: by BY_S seconds, as soon as there is a file MOMENT, for the processes that have this
   library by LD_PRELOAD. Clocks that nobody can set go on as they are.

   The kernel knows nothing of the jump: what waits for a moment of the wall clock has that moment told in the
   kernel's time. So a wait that has begun before the jump does not notice it, and neither do the times of files.

   Compiled by gcc or clang: tcc gives these functions the versions of the C library's, and Ray asks for others. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdarg.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

/* The C library's own function, looked up once. Of those for conditions it may have older ones, too, which work
   otherwise: they are told apart by their versions. */
#define THE_REAL(name)                                              \
    static __typeof__(&name) found;                                 \
    __typeof__(&name) real = found;                                 \
    if (!real && !(real = dlvsym(RTLD_NEXT, #name, "GLIBC_2.3.2"))) \
        real = dlsym(RTLD_NEXT, #name);                             \
    found = real /* at once: other threads look, too */

static int kernels_time(clockid_t clock, struct timespec *now)
{
    THE_REAL(clock_gettime);
    return real(clock, now);
}

/* Seconds by which the clock has jumped. Clocks are read often, so the file is looked for only now and then. */
static time_t jumped_s(void)
{
    static volatile time_t by_s, next_ms;
    struct timespec now;
    int before = errno;

    if (by_s || kernels_time(CLOCK_MONOTONIC, &now))
        return by_s;
    time_t now_ms = 1000 * now.tv_sec + now.tv_nsec / 1000000;
    if (now_ms >= next_ms) {
        next_ms = now_ms + 20;
        if (!access(MOMENT, F_OK))
            by_s = BY_S;
        errno = before;
    }
    return by_s;
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    int failed = kernels_time(clock, now);

    if (!failed && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        now->tv_sec += jumped_s();
    return failed;
}

int gettimeofday(struct timeval *restrict told, void *restrict zone)
{
    struct timespec now;
    int failed = clock_gettime(CLOCK_REALTIME, &now);

    (void)zone; /* of no meaning since there is Linux */
    told->tv_sec = now.tv_sec;
    told->tv_usec = now.tv_nsec / 1000;
    return failed;
}

time_t time(time_t *told)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    if (told)
        *told = now.tv_sec;
    return now.tv_sec;
}

/* A moment of the wall clock, in the kernel's time. Other times are left alone: lengths, moments of a clock that
   counts from the machine's start, and "never" are decades away. */
static const struct timespec *in_kernels_time(const struct timespec *moment, struct timespec *translated)
{
    if (!moment || moment->tv_sec < 1000000000 || moment->tv_sec > 4000000000)
        return moment;
    *translated = *moment;
    translated->tv_sec -= jumped_s();
    return translated;
}

int pthread_cond_timedwait(pthread_cond_t *restrict condition, pthread_mutex_t *restrict mutex,
                           const struct timespec *restrict until)
{
    THE_REAL(pthread_cond_timedwait);
    struct timespec translated;

    return real(condition, mutex, in_kernels_time(until, &translated));
}

int sem_timedwait(sem_t *restrict semaphore, const struct timespec *restrict until)
{
    THE_REAL(sem_timedwait);
    struct timespec translated;

    return real(semaphore, in_kernels_time(until, &translated));
}

/* Abseil, which Ray's libraries have in them, waits by the kernel's own call. */
long syscall(long number, ...)
{
    THE_REAL(syscall);
    struct timespec translated;
    long given[6];
    va_list rest;

    va_start(rest, number);
    for (int i = 0; i < 6; i++) /* as many as any call takes */
        given[i] = va_arg(rest, long);
    va_end(rest);
    if (number == SYS_futex && given[1] & FUTEX_CLOCK_REALTIME)
        given[3] = (long)in_kernels_time((const struct timespec *)given[3], &translated);
    return real(number, given[0], given[1], given[2], given[3], given[4], given[5]);
}
