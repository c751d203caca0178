/* Between the host and the engine: evaluates a script once, then calls the function that it is
 * worth. The host copies the memory back after every call, so nothing here is freed for the sake
 * of the next call, and no state needs to be reset.
 *
 * Exports and imports are documented in src/lib.rs. */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "host.h"
#include "prelude.h"
#include "quickjs.h"

#define EXPORT(name) __attribute__((export_name(#name)))

/* The engine's own limit on the C stack. The stack of the module is larger (STACK_BYTES in
 * build.rs): the rest is for the deepest C function that does not ask. And it is small enough that
 * the host's stack for WebAssembly is not used up first, which would be a trap rather than a
 * RangeError. */
#define ENGINE_STACK_BYTES (256 * 1024)

/* Rejected promises that nobody has handled so far; more are not remembered. */
#define MAX_REJECTIONS 16

extern void __wasm_call_ctors(void);
extern void nex_seed_random(JSContext *ctx, uint64_t seed);

/* Read by the host: the exported global holds its address. */
uint32_t nex_heap_top = 0;

static JSRuntime *rt;
static JSContext *ctx;
static JSValue global, function, context_class, describe, tick;
static JSValue rejected[MAX_REJECTIONS];
static int rejections;

/* --- memory: the C library's allocator, and how far up it has handed memory out --- */

static void *noted(void *block, size_t size)
{
    uint32_t end = (uint32_t)(uintptr_t)block + (uint32_t)size;
    if (block && end > nex_heap_top)
        nex_heap_top = end;
    return block;
}

static void *heap_malloc(void *opaque, size_t size)
{
    (void)opaque;
    return noted(malloc(size), size);
}

static void *heap_calloc(void *opaque, size_t count, size_t size)
{
    (void)opaque;
    return noted(calloc(count, size), count * size);
}

static void *heap_realloc(void *opaque, void *block, size_t size)
{
    (void)opaque;
    return noted(realloc(block, size), size);
}

static void heap_free(void *opaque, void *block)
{
    (void)opaque;
    free(block);
}

extern size_t malloc_usable_size(void *);
static size_t heap_usable_size(const void *block)
{
    return malloc_usable_size((void *)block);
}

static const JSMallocFunctions heap = {
    .js_calloc = heap_calloc,
    .js_malloc = heap_malloc,
    .js_free = heap_free,
    .js_realloc = heap_realloc,
    .js_malloc_usable_size = heap_usable_size,
};

static void *buffer_realloc(JSRuntime *runtime, void *opaque, void *block, size_t size)
{
    (void)opaque;
    if (size)
        return js_realloc_rt(runtime, block, size);
    js_free_rt(runtime, block);
    return NULL;
}

/* --- values from the host --- */

/* Reads into a new block with a zero behind it; NULL with an exception pending. */
static char *read_block(int32_t what, int32_t index, size_t *size)
{
    int32_t length = nex_read(what, index, NULL, 0);
    if (length < 0)
        length = 0;
    char *block = js_malloc(ctx, (size_t)length + 1);
    if (!block)
        return NULL;
    if (length)
        nex_read(what, index, block, (size_t)length);
    block[length] = 0;
    *size = (size_t)length;
    return block;
}

static JSValue read_text(int32_t what, int32_t index)
{
    size_t size;
    char *block = read_block(what, index, &size);
    if (!block)
        return JS_EXCEPTION;
    JSValue text = JS_NewStringLen(ctx, block, size);
    js_free(ctx, block);
    return text;
}

static JSValue read_bytes(int32_t what, int32_t index)
{
    size_t size;
    char *block = read_block(what, index, &size);
    if (!block)
        return JS_EXCEPTION;
    return JS_NewUint8Array(ctx, (uint8_t *)block, size, buffer_realloc, NULL, false);
}

/* --- failures --- */

/* Says why a call or a script failed. The text is made in JavaScript; where that fails too (no
 * memory, a hostile getter), a plain one is. */
static void fail_with(int32_t kind, JSValue error)
{
    JSValue text = JS_Call(ctx, describe, JS_UNDEFINED, 1, (JSValueConst *)&error);
    if (JS_IsException(text)) {
        JS_GetException(ctx);
        text = JS_ToString(ctx, error);
        if (JS_IsException(text))
            JS_GetException(ctx);
    }
    size_t size;
    const char *bytes = JS_IsString(text) ? JS_ToCStringLen(ctx, &size, text) : NULL;
    if (bytes) {
        nex_fail(kind, bytes, size);
    } else {
        static const char fallback[] = "an exception that cannot be shown";
        nex_fail(kind, fallback, sizeof(fallback) - 1);
    }
}

static int fail(int32_t kind)
{
    fail_with(kind, JS_GetException(ctx));
    return -1;
}

static int fail_text(int32_t kind, const char *text)
{
    nex_fail(kind, text, strlen(text));
    return -1;
}

/* --- natives: what the prelude builds the API from --- */

static JSValue native_log(JSContext *c, JSValueConst this, int argc, JSValueConst *argv)
{
    (void)this, (void)argc;
    int32_t level;
    size_t size;
    if (JS_ToInt32(c, &level, argv[0]))
        return JS_EXCEPTION;
    const char *text = JS_ToCStringLen(c, &size, argv[1]);
    if (!text)
        return JS_EXCEPTION;
    nex_log(level, text, size);
    JS_FreeCString(c, text);
    return JS_UNDEFINED;
}

/* service(number, argument: string, body?: Uint8Array): Uint8Array[] */
static JSValue native_service(JSContext *c, JSValueConst this, int argc, JSValueConst *argv)
{
    (void)this, (void)argc;
    int32_t service;
    size_t argument_size, body_size = 0;
    uint8_t *body = NULL;
    if (JS_ToInt32(c, &service, argv[0]))
        return JS_EXCEPTION;
    if (!JS_IsUndefined(argv[2])) {
        body = JS_GetUint8Array(c, &body_size, argv[2]);
        if (!body && JS_HasException(c))
            return JS_EXCEPTION;
    }
    const char *argument = JS_ToCStringLen(c, &argument_size, argv[1]);
    if (!argument)
        return JS_EXCEPTION;
    int32_t parts = nex_service(service, argument, argument_size, body, body_size);
    JS_FreeCString(c, argument);
    if (parts < 0) {
        JSValue error = JS_NewError(c);
        JSValue text = read_text(READ_PART, 0);
        if (JS_IsException(text))
            return text;
        JS_DefinePropertyValueStr(c, error, "message", text,
                                  JS_PROP_WRITABLE | JS_PROP_CONFIGURABLE);
        return JS_Throw(c, error);
    }
    JSValue list = JS_NewArray(c);
    for (int32_t i = 0; i < parts && !JS_IsException(list); i++) {
        JSValue part = read_bytes(READ_PART, i);
        if (JS_IsException(part) || JS_SetPropertyUint32(c, list, (uint32_t)i, part) < 0)
            return JS_EXCEPTION;
    }
    return list;
}

static JSValue native_read(JSContext *c, JSValueConst this, int argc, JSValueConst *argv)
{
    (void)this, (void)argc;
    int32_t what;
    if (JS_ToInt32(c, &what, argv[0]))
        return JS_EXCEPTION;
    return read_text(what, 0);
}

static JSValue native_clock(JSContext *c, JSValueConst this, int argc, JSValueConst *argv)
{
    (void)this, (void)argc;
    int32_t which;
    if (JS_ToInt32(c, &which, argv[0]))
        return JS_EXCEPTION;
    return JS_NewFloat64(c, (double)nex_clock(which) / 1e6);
}

/* random(bytes: Uint8Array): fills it. */
static JSValue native_random(JSContext *c, JSValueConst this, int argc, JSValueConst *argv)
{
    (void)this, (void)argc;
    size_t size;
    uint8_t *bytes = JS_GetUint8Array(c, &size, argv[0]);
    if (!bytes && JS_HasException(c))
        return JS_EXCEPTION;
    if (size)
        nex_random(bytes, size);
    return JS_UNDEFINED;
}

/* digest(algorithm, bytes: Uint8Array): Uint8Array */
static JSValue native_digest(JSContext *c, JSValueConst this, int argc, JSValueConst *argv)
{
    (void)this, (void)argc;
    int32_t algorithm;
    size_t size;
    uint8_t digest[64];
    if (JS_ToInt32(c, &algorithm, argv[0]))
        return JS_EXCEPTION;
    uint8_t *bytes = JS_GetUint8Array(c, &size, argv[1]);
    if (!bytes && JS_HasException(c))
        return JS_EXCEPTION;
    int32_t length = nex_digest(algorithm, bytes, size, digest);
    if (length < 0 || length > (int32_t)sizeof(digest))
        return JS_ThrowInternalError(c, "the host knows no such digest");
    return JS_NewUint8ArrayCopy(c, digest, (size_t)length);
}

/* url(operation, url: string, argument: string): string | undefined */
static JSValue native_url(JSContext *c, JSValueConst this, int argc, JSValueConst *argv)
{
    (void)this, (void)argc;
    int32_t operation;
    size_t url_size, argument_size;
    if (JS_ToInt32(c, &operation, argv[0]))
        return JS_EXCEPTION;
    const char *url = JS_ToCStringLen(c, &url_size, argv[1]);
    if (!url)
        return JS_EXCEPTION;
    const char *argument = JS_ToCStringLen(c, &argument_size, argv[2]);
    if (!argument)
        return JS_EXCEPTION;
    int32_t length = nex_url(operation, url, url_size, argument, argument_size);
    JS_FreeCString(c, url);
    JS_FreeCString(c, argument);
    return length < 0 ? JS_UNDEFINED : read_text(READ_URL, 0);
}

/* encode(text: string): Uint8Array. The text has no lone surrogates. */
static JSValue native_encode(JSContext *c, JSValueConst this, int argc, JSValueConst *argv)
{
    (void)this, (void)argc;
    size_t size;
    const char *text = JS_ToCStringLen(c, &size, argv[0]);
    if (!text)
        return JS_EXCEPTION;
    JSValue bytes = JS_NewUint8ArrayCopy(c, (const uint8_t *)text, size);
    JS_FreeCString(c, text);
    return bytes;
}

/* How many bytes at `at` are one character, or the longest beginning of one that is none, as a
 * negative number. */
static int utf8_step(const uint8_t *at, const uint8_t *end)
{
    uint8_t first = at[0], low = 0x80, high = 0xbf;
    int more;
    if (first < 0x80)
        return 1;
    if (first >= 0xc2 && first <= 0xdf)
        more = 1;
    else if (first >= 0xe0 && first <= 0xef)
        more = 2;
    else if (first >= 0xf0 && first <= 0xf4)
        more = 3;
    else
        return -1;
    if (first == 0xe0)
        low = 0xa0;
    else if (first == 0xed)
        high = 0x9f;
    else if (first == 0xf0)
        low = 0x90;
    else if (first == 0xf4)
        high = 0x8f;
    for (int i = 1; i <= more; i++) {
        if (at + i >= end || at[i] < low || at[i] > high)
            return -i;
        low = 0x80;
        high = 0xbf;
    }
    return more + 1;
}

/* decode(bytes: Uint8Array): string, with U+FFFD as the standard wants it; undefined where
 * `fatal` is true and the bytes are no UTF-8. */
static JSValue native_decode(JSContext *c, JSValueConst this, int argc, JSValueConst *argv)
{
    (void)this, (void)argc;
    size_t size, bad = 0;
    uint8_t *bytes = JS_GetUint8Array(c, &size, argv[0]);
    if (!bytes && JS_HasException(c))
        return JS_EXCEPTION;
    const uint8_t *end = bytes + size;
    for (const uint8_t *at = bytes; at < end;) {
        int step = utf8_step(at, end);
        bad += step < 0;
        at += step < 0 ? -step : step;
    }
    if (!bad)
        return JS_NewStringLen(c, (const char *)bytes, size);
    if (JS_ToBool(c, argv[1]))
        return JS_UNDEFINED;
    uint8_t *good = js_malloc(c, size + 2 * bad), *to = good;
    if (!good)
        return JS_EXCEPTION;
    for (const uint8_t *at = bytes; at < end;) {
        int step = utf8_step(at, end);
        if (step < 0) {
            memcpy(to, "\xef\xbf\xbd", 3);
            to += 3;
            at -= step;
        } else {
            memcpy(to, at, (size_t)step);
            to += step;
            at += step;
        }
    }
    JSValue text = JS_NewStringLen(c, (const char *)good, (size_t)(to - good));
    js_free(c, good);
    return text;
}

/* tail(bytes: Uint8Array): how many bytes at the end are the beginning of a character. */
static JSValue native_tail(JSContext *c, JSValueConst this, int argc, JSValueConst *argv)
{
    (void)this, (void)argc;
    size_t size;
    uint8_t *bytes = JS_GetUint8Array(c, &size, argv[0]);
    if (!bytes && JS_HasException(c))
        return JS_EXCEPTION;
    const uint8_t *end = bytes + size;
    for (int back = 1; back <= 3 && (size_t)back <= size; back++) {
        if ((end[-back] & 0xc0) == 0x80)
            continue;
        int step = utf8_step(end - back, end);
        bool incomplete = end[-back] >= 0xc2 && step == -back;
        return JS_NewInt32(c, incomplete ? back : 0);
    }
    return JS_NewInt32(c, 0);
}

/* promise(value): [state, result], or undefined for what is no promise. */
static JSValue native_promise(JSContext *c, JSValueConst this, int argc, JSValueConst *argv)
{
    (void)this, (void)argc;
    JSPromiseStateEnum state = JS_PromiseState(c, argv[0]);
    if (state == JS_PROMISE_NOT_A_PROMISE)
        return JS_UNDEFINED;
    JSValue pair[2] = {JS_NewInt32(c, state), JS_PromiseResult(c, argv[0])};
    return JS_NewArrayFrom(c, 2, pair);
}

/* proxy(value): its target, or undefined for what is no proxy. */
static JSValue native_proxy(JSContext *c, JSValueConst this, int argc, JSValueConst *argv)
{
    (void)this, (void)argc;
    return JS_IsProxy(argv[0]) ? JS_GetProxyTarget(c, argv[0]) : JS_UNDEFINED;
}

static const struct {
    const char *name;
    JSCFunction *call;
    int arguments;
} natives[] = {
    {"log", native_log, 2},         {"service", native_service, 3}, {"read", native_read, 1},
    {"clock", native_clock, 1},     {"random", native_random, 1},   {"digest", native_digest, 2},
    {"url", native_url, 3},         {"encode", native_encode, 1},   {"decode", native_decode, 2},
    {"tail", native_tail, 1},       {"promise", native_promise, 1}, {"proxy", native_proxy, 1},
};

/* --- modules --- */

static JSModuleDef *no_module(JSContext *c, const char *name, void *opaque)
{
    (void)opaque;
    JS_ThrowTypeError(c, "cannot import '%s': a function is one file; bundle what it needs into it",
                      name);
    return NULL;
}

/* --- promises --- */

static void on_rejection(JSContext *c, JSValueConst promise, JSValueConst reason, bool is_handled,
                         void *opaque)
{
    (void)reason, (void)opaque;
    if (!is_handled) {
        if (rejections < MAX_REJECTIONS)
            rejected[rejections++] = JS_DupValue(c, promise);
        return;
    }
    for (int i = 0; i < rejections; i++) {
        if (JS_VALUE_GET_PTR(rejected[i]) == JS_VALUE_GET_PTR(promise)) {
            JS_FreeValue(c, rejected[i]);
            rejected[i] = rejected[--rejections];
            return;
        }
    }
}

/* Tells the log of rejections that nobody handled. */
static void report_rejections(void)
{
    for (int i = 0; i < rejections; i++) {
        JSValue reason = JS_PromiseResult(ctx, rejected[i]);
        JSValue arguments[2] = {reason, JS_TRUE};
        JSValue done = JS_Call(ctx, describe, JS_UNDEFINED, 2, (JSValueConst *)arguments);
        if (JS_IsException(done))
            JS_GetException(ctx);
    }
    rejections = 0;
}

static int run_jobs(void)
{
    JSContext *of;
    int left;
    while ((left = JS_ExecutePendingJob(rt, &of)) > 0)
        ;
    return left;
}

/* Waits for a promise, with jobs and timers; any other value is returned as it is. */
static JSValue settle(JSValue value)
{
    if (JS_IsException(value))
        return value;
    if (run_jobs() < 0)
        return JS_EXCEPTION;
    if (!JS_IsPromise(value))
        return value;
    for (;;) {
        switch (JS_PromiseState(ctx, value)) {
        case JS_PROMISE_FULFILLED:
            return JS_PromiseResult(ctx, value);
        case JS_PROMISE_REJECTED:
            JS_PromiseMarkAsHandled(ctx, value);
            on_rejection(ctx, value, JS_UNDEFINED, true, NULL);
            return JS_Throw(ctx, JS_PromiseResult(ctx, value));
        default:
            break;
        }
        JSValue wait = JS_Call(ctx, tick, JS_UNDEFINED, 0, NULL);
        double milliseconds;
        if (JS_IsException(wait) || JS_ToFloat64(ctx, &milliseconds, wait))
            return JS_EXCEPTION;
        if (milliseconds < 0)
            return JS_UNINITIALIZED;
        if (milliseconds > 0)
            nex_sleep(milliseconds);
        if (run_jobs() < 0)
            return JS_EXCEPTION;
    }
}

/* --- exports --- */

/* Makes the world that scripts find. */
EXPORT(start) int32_t start(void)
{
    __wasm_call_ctors();
    rt = JS_NewRuntime2(&heap, NULL);
    if (!rt)
        return fail_text(FAIL_ENGINE, "the engine cannot start: out of memory");
    JS_SetMaxStackSize(rt, ENGINE_STACK_BYTES);
    JS_SetModuleLoaderFunc(rt, NULL, no_module, NULL);
    JS_SetHostPromiseRejectionTracker(rt, on_rejection, NULL);
    ctx = JS_NewContext(rt);
    if (!ctx)
        return fail_text(FAIL_ENGINE, "the engine cannot start: out of memory");
    global = JS_GetGlobalObject(ctx);
    JSValue native = JS_NewObject(ctx);
    for (size_t i = 0; i < sizeof(natives) / sizeof(natives[0]); i++) {
        JSValue call = JS_NewCFunction(ctx, natives[i].call, natives[i].name, natives[i].arguments);
        JS_SetPropertyStr(ctx, native, natives[i].name, call);
    }
    /* Bytecode, made by the same version of the engine when the module was built. */
    JSValue prelude = JS_ReadObject(ctx, nex_prelude, sizeof(nex_prelude), JS_READ_OBJ_BYTECODE);
    if (!JS_IsException(prelude))
        prelude = JS_EvalFunction(ctx, prelude);
    JSValue made = JS_IsException(prelude)
                       ? prelude
                       : JS_Call(ctx, prelude, global, 1, (JSValueConst *)&native);
    if (JS_IsException(made)) {
        const char *text = JS_ToCString(ctx, JS_GetException(ctx));
        return fail_text(FAIL_ENGINE, text ? text : "the engine cannot start");
    }
    describe = JS_GetPropertyStr(ctx, made, "describe");
    tick = JS_GetPropertyStr(ctx, made, "tick");
    context_class = JS_GetPropertyStr(ctx, made, "context");
    return 0;
}

/* What a script is worth: the value of the last statement, or the default export of a module. What
 * can be read as a script is one; the rest is a module, if it can be read as one. Which of two
 * syntax errors is shown, `looks_like_module` decides; that one is said here. */
static JSValue evaluate(const char *script, size_t size, bool looks_like_module, int *said)
{
    JSValue code = JS_Eval(ctx, script, size, "function.js",
                           JS_EVAL_TYPE_GLOBAL | JS_EVAL_FLAG_COMPILE_ONLY);
    if (!JS_IsException(code))
        return settle(JS_EvalFunction(ctx, code));
    JSValue error = JS_GetException(ctx);
    code = JS_Eval(ctx, script, size, "function.js",
                   JS_EVAL_TYPE_MODULE | JS_EVAL_FLAG_COMPILE_ONLY);
    if (JS_IsException(code)) {
        if (looks_like_module)
            error = JS_GetException(ctx);
        fail_with(FAIL_SYNTAX, error);
        *said = -1;
        return JS_UNDEFINED;
    }
    JSModuleDef *module = JS_VALUE_GET_PTR(code);
    JSValue done = settle(JS_EvalFunction(ctx, code));
    if (JS_IsException(done) || JS_IsUninitialized(done))
        return done;
    JSValue names = JS_GetModuleNamespace(ctx, module);
    return JS_IsException(names) ? names : settle(JS_GetPropertyStr(ctx, names, "default"));
}

EXPORT(load) int32_t load(int32_t looks_like_module)
{
    size_t size;
    char *script = read_block(READ_SCRIPT, 0, &size);
    if (!script)
        return fail(FAIL_EXCEPTION);
    int said = 0;
    function = evaluate(script, size, looks_like_module, &said);
    js_free(ctx, script);
    if (said)
        return said;
    if (JS_IsException(function))
        return fail(FAIL_EXCEPTION);
    if (JS_IsUninitialized(function))
        return fail_text(FAIL_UNSETTLED, "");
    if (!JS_IsFunction(ctx, function))
        return fail_text(FAIL_NO_FUNCTION, "");
    report_rejections();
    /* What waits for a later turn of evaluation never gets one: no timer is in the image. */
    JSValue forget = JS_TRUE;
    if (JS_IsException(JS_Call(ctx, tick, JS_UNDEFINED, 1, (JSValueConst *)&forget)))
        return fail(FAIL_EXCEPTION);
    JS_RunGC(rt);
    return 0;
}

static int deliver(JSValue value)
{
    size_t size;
    if (JS_IsUndefined(value)) {
        nex_answer(NULL, 0);
        return 0;
    }
    if (JS_GetTypedArrayType(value) == JS_TYPED_ARRAY_UINT8) {
        uint8_t *bytes = JS_GetUint8Array(ctx, &size, value);
        if (!bytes && JS_HasException(ctx))
            return fail(FAIL_EXCEPTION);
        nex_answer(bytes, size);
        return 0;
    }
    JSValue json = JS_JSONStringify(ctx, value, JS_UNDEFINED, JS_UNDEFINED);
    if (JS_IsException(json))
        return fail(FAIL_EXCEPTION);
    if (JS_IsUndefined(json)) {
        nex_answer(NULL, 0);
        return 0;
    }
    const char *text = JS_ToCStringLen(ctx, &size, json);
    if (!text)
        return fail(FAIL_EXCEPTION);
    nex_answer(text, size);
    return 0;
}

EXPORT(call) int32_t call(int64_t seed)
{
    nex_seed_random(ctx, (uint64_t)seed);
    JSValue arguments[3] = {
        read_text(READ_SUBJECT, 0),
        read_bytes(READ_PAYLOAD, 0),
        JS_NewObjectProto(ctx, context_class),
    };
    for (int i = 0; i < 3; i++) {
        if (JS_IsException(arguments[i]))
            return fail(FAIL_EXCEPTION);
    }
    JSValue value = settle(JS_Call(ctx, function, global, 3, (JSValueConst *)arguments));
    if (rejections)
        report_rejections();
    if (JS_IsException(value))
        return fail(FAIL_EXCEPTION);
    if (JS_IsUninitialized(value))
        return fail_text(FAIL_UNSETTLED, "");
    return deliver(value);
}
