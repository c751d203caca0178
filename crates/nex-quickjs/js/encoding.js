// TextEncoder, TextDecoder.

define("TextEncoder", class TextEncoder {
  get encoding() { return "utf-8"; }
  encode(input = "") { return native.encode(text(input)); }
  encodeInto(input, into) {
    if (!(into instanceof Uint8Array)) throw new TypeError("encodeInto: the second argument must be a Uint8Array");
    const source = text(input);
    let read = 0, written = 0;
    for (const character of source) {
      const bytes = native.encode(character);
      if (written + bytes.length > into.length) break;
      into.set(bytes, written);
      written += bytes.length;
      read += character.length;
    }
    return { read, written };
  }
});

const LABELS = {
  "utf-8": ["utf-8", "utf8", "unicode-1-1-utf-8", "unicode11utf8", "unicode20utf8", "x-unicode20utf8"],
  "utf-16le": ["utf-16le", "utf-16", "ucs-2", "unicode", "csunicode", "iso-10646-ucs-2", "unicodefeff"],
  "windows-1252": ["windows-1252", "latin1", "iso-8859-1", "iso8859-1", "iso88591", "iso_8859-1", "l1", "ascii", "us-ascii", "cp1252", "x-cp1252"],
};
const HIGH_1252 = "\u20ac\x81\u201a\u0192\u201e\u2026\u2020\u2021\u02c6\u2030\u0160\u2039\u0152\x8d\u017d\x8f\x90\u2018\u2019\u201c\u201d\u2022\u2013\u2014\u02dc\u2122\u0161\u203a\u0153\x9d\u017e\u0178";

function decodeUtf16(bytes, fatal) {
  let out = "";
  for (let at = 0; at + 1 < bytes.length; at += 2) out += String.fromCharCode(bytes[at] | (bytes[at + 1] << 8));
  if (bytes.length % 2) out += "\ud800";
  return fatal && !out.isWellFormed() ? undefined : out.toWellFormed();
}

function decode1252(bytes) {
  let out = "";
  for (const byte of bytes) out += byte >= 0x80 && byte < 0xa0 ? HIGH_1252[byte - 0x80] : String.fromCharCode(byte);
  return out;
}

define("TextDecoder", class TextDecoder {
  #encoding;
  #fatal;
  #ignoreBOM;
  #kept = new Uint8Array(0);
  #started = false;
  constructor(label = "utf-8", options = {}) {
    const wanted = `${label}`.trim().toLowerCase();
    this.#encoding = Object.keys(LABELS).find((name) => LABELS[name].includes(wanted));
    if (!this.#encoding) throw Object.assign(new RangeError(`The "${label}" encoding is not supported`), { code: "ERR_ENCODING_NOT_SUPPORTED" });
    this.#fatal = !!options.fatal;
    this.#ignoreBOM = !!options.ignoreBOM;
  }
  get encoding() { return this.#encoding; }
  get fatal() { return this.#fatal; }
  get ignoreBOM() { return this.#ignoreBOM; }
  decode(input = new Uint8Array(0), options = {}) {
    let bytes = bytesOf(input);
    if (!bytes) throw new TypeError("decode: the input must be an ArrayBuffer or a view of one");
    if (this.#kept.length) {
      const joined = new Uint8Array(this.#kept.length + bytes.length);
      joined.set(this.#kept);
      joined.set(bytes, this.#kept.length);
      bytes = joined;
    }
    let whole = bytes;
    if (options.stream) {
      let keep = 0;
      if (this.#encoding === "utf-8") keep = native.tail(bytes);
      else if (this.#encoding === "utf-16le") {
        keep = bytes.length % 2;
        const high = bytes[bytes.length - keep - 1];
        if (high >= 0xd8 && high <= 0xdb) keep += 2;
      }
      whole = bytes.subarray(0, bytes.length - keep);
    }
    const kept = bytes.slice(whole.length);
    let out = this.#encoding === "utf-8" ? native.decode(whole, this.#fatal) : this.#encoding === "utf-16le" ? decodeUtf16(whole, this.#fatal) : decode1252(whole);
    this.#kept = options.stream ? kept : new Uint8Array(0);
    if (out === undefined) {
      this.#started = false;
      throw Object.assign(new TypeError(`The encoded data was not valid for encoding ${this.#encoding}`), { code: "ERR_ENCODING_INVALID_ENCODED_DATA" });
    }
    if (!this.#started && out.length) {
      if (!this.#ignoreBOM && out[0] === "\ufeff") out = out.slice(1);
      this.#started = true;
    }
    if (!options.stream) this.#started = false;
    return out;
  }
});
