/* What is left of the system below the C library: a clock. Nothing here reaches a file, an
 * environment or an argument, and no import of WASI remains: these definitions stand in for the
 * C library's own, so the linker never takes those. A function that the library comes to need
 * beyond them pulls its own set in and fails the link for symbols defined twice. */
#include <stddef.h>
#include <stdint.h>
#include <wasi/api.h>

#include "host.h"

__wasi_errno_t __wasi_clock_time_get(__wasi_clockid_t id, __wasi_timestamp_t precision,
                                     __wasi_timestamp_t *time)
{
    (void)precision;
    *time = nex_clock(id == __WASI_CLOCKID_REALTIME ? CLOCK_WALL : CLOCK_STEADY);
    return __WASI_ERRNO_SUCCESS;
}

__wasi_errno_t __wasi_fd_close(__wasi_fd_t fd)
{
    (void)fd;
    return __WASI_ERRNO_BADF;
}

__wasi_errno_t __wasi_fd_fdstat_get(__wasi_fd_t fd, __wasi_fdstat_t *stat)
{
    (void)fd, (void)stat;
    return __WASI_ERRNO_BADF;
}

__wasi_errno_t __wasi_fd_seek(__wasi_fd_t fd, __wasi_filedelta_t offset, __wasi_whence_t whence,
                              __wasi_filesize_t *position)
{
    (void)fd, (void)offset, (void)whence, (void)position;
    return __WASI_ERRNO_BADF;
}

__wasi_errno_t __wasi_fd_write(__wasi_fd_t fd, const __wasi_ciovec_t *parts, size_t count,
                               __wasi_size_t *written)
{
    (void)fd, (void)parts, (void)count, (void)written;
    return __WASI_ERRNO_BADF;
}

_Noreturn void __wasi_proc_exit(__wasi_exitcode_t code)
{
    (void)code;
    __builtin_trap();
}

_Noreturn void abort(void)
{
    __builtin_trap();
}

/* One instruction each, where the C library of older distributions loops over bytes. */
void *memcpy(void *restrict to, const void *restrict from, size_t size)
{
    return __builtin_memcpy(to, from, size);
}

void *memmove(void *to, const void *from, size_t size)
{
    return __builtin_memmove(to, from, size);
}

void *memset(void *to, int byte, size_t size)
{
    return __builtin_memset(to, byte, size);
}
