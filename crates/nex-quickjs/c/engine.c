/* The engine as one translation unit, with what the shim needs and the engine keeps to itself.
 *
 * The engine switches its check of the C stack off for WASI, where other builds have no bound to
 * check against. This one has (shim.c), so it must not know that it is built for WASI; the headers
 * of the C library must, so they come first. EMSCRIPTEN is how the engine knows WebAssembly: no
 * threads, no computed gotos. */
#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <fenv.h>
#include <inttypes.h>
#include <limits.h>
#include <malloc.h>
#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define EMSCRIPTEN 1
#include "cutils.h"
#undef __wasi__
#include "quickjs.c"

void nex_seed_random(JSContext *ctx, uint64_t seed)
{
    ctx->random_state = seed ? seed : 1;
}
