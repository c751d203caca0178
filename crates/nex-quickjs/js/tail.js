// For the shim. An exception as text; with `unhandled`, into the log instead.
function describe(error, unhandled) {
  // Errors without a stack are shown in brackets where they are values; here they are not.
  const shown = error instanceof Error ? inspect(error).replace(/^\[(.*)\]$/s, "$1") : `Uncaught ${inspect(error)}`;
  if (!unhandled) return shown.toWellFormed();
  write(WARN, ["Unhandled promise rejection: %s", shown]);
}

return { describe, tick, context: Context.prototype };
