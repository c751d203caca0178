/* What the host gives the engine: the imports of the module. The Rust side of each is documented
 * in src/lib.rs; numbers here and there must agree. */
#ifndef NEX_HOST_H
#define NEX_HOST_H

#include <stddef.h>
#include <stdint.h>

#define HOST(name) __attribute__((import_module("nex"), import_name(#name)))

/* What `nex_read` reads. */
enum {
    READ_SUBJECT = 0,
    READ_PAYLOAD = 1,
    READ_REPLY = 2,
    READ_HEADERS = 3,
    READ_ENVIRONMENT = 4,
    READ_SCRIPT = 5,
    READ_PART = 6,
    READ_URL = 7,
};

/* Kinds of failure for `nex_fail`. */
enum {
    FAIL_EXCEPTION = 0,
    FAIL_SYNTAX = 1,
    FAIL_NO_FUNCTION = 2,
    FAIL_UNSETTLED = 3,
    FAIL_ENGINE = 4,
};

enum {
    CLOCK_WALL = 0,
    CLOCK_STEADY = 1,
    CLOCK_DEADLINE = 2,
};

HOST(read) int32_t nex_read(int32_t what, int32_t index, void *to, size_t size);
HOST(answer) void nex_answer(const void *bytes, size_t size);
HOST(fail) void nex_fail(int32_t kind, const char *text, size_t size);
HOST(log) void nex_log(int32_t level, const char *text, size_t size);
HOST(random) void nex_random(void *to, size_t size);
HOST(clock) uint64_t nex_clock(int32_t which);
HOST(sleep) void nex_sleep(double milliseconds);
HOST(service) int32_t nex_service(int32_t service, const char *argument, size_t argument_size,
                                  const void *body, size_t body_size);
HOST(digest) int32_t nex_digest(int32_t algorithm, const void *bytes, size_t size, void *to);
HOST(url) int32_t nex_url(int32_t operation, const char *url, size_t url_size, const char *argument,
                          size_t argument_size);

#endif
