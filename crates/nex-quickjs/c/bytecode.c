/* Runs on the machine that builds: compiles the prelude on standard input to bytecode on standard
 * output, without its source and line numbers, which would be in every image. */
#include <stdio.h>

#include "quickjs.h"

int main(void)
{
    static char script[1 << 20];
    size_t size = fread(script, 1, sizeof(script) - 1, stdin);
    JSContext *ctx = JS_NewContext(JS_NewRuntime());
    if (!ctx)
        return 1;
    JSValue code = JS_Eval(ctx, script, size, "nex:prelude",
                           JS_EVAL_TYPE_GLOBAL | JS_EVAL_FLAG_STRICT | JS_EVAL_FLAG_COMPILE_ONLY);
    if (JS_IsException(code)) {
        JSValue error = JS_GetException(ctx);
        fprintf(stderr, "%s\n%s", JS_ToCString(ctx, error),
                JS_ToCString(ctx, JS_GetPropertyStr(ctx, error, "stack")));
        return 1;
    }
    uint8_t *bytes = JS_WriteObject(
        ctx, &size, code,
        JS_WRITE_OBJ_BYTECODE | JS_WRITE_OBJ_STRIP_SOURCE | JS_WRITE_OBJ_STRIP_DEBUG);
    return !bytes || fwrite(bytes, 1, size, stdout) != size || fflush(stdout);
}
