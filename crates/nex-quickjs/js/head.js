// What scripts find beside the language. One function, called once with what the shim offers
// (natives[] in shim.c); it is part of the image that every call starts from.

// A global as built-in ones are: not listed.
function define(name, value) {
  Object.defineProperty(globalThis, name, { value, writable: true, configurable: true, enumerable: false });
}

// The bytes of a buffer or a view, not copied; undefined for anything else.
function bytesOf(value) {
  if (value instanceof ArrayBuffer) return new Uint8Array(value);
  if (ArrayBuffer.isView(value)) return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
}

// Lone surrogates are no characters: U+FFFD stands for them, as on the web.
function text(value) {
  return `${value}`.toWellFormed();
}
