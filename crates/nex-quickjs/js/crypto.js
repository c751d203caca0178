// crypto: random numbers come from the host each time, so no two calls share any.

const DIGESTS = ["SHA-1", "SHA-256", "SHA-384", "SHA-512"];
const INTEGERS = [Int8Array, Uint8Array, Uint8ClampedArray, Int16Array, Uint16Array, Int32Array, Uint32Array, BigInt64Array, BigUint64Array];
const MAX_RANDOM = 65536;

const subtle = {
  async digest(algorithm, data) {
    const name = `${typeof algorithm === "object" && algorithm !== null ? algorithm.name : algorithm}`.toUpperCase();
    const known = DIGESTS.indexOf(name);
    if (known < 0) throw new DOMException("Unrecognized algorithm name", "NotSupportedError");
    const bytes = bytesOf(data);
    if (!bytes) throw new TypeError("digest: the data must be an ArrayBuffer or a view of one");
    return native.digest(known, bytes).buffer;
  },
};

define("crypto", {
  subtle,
  getRandomValues(array) {
    if (!INTEGERS.some((kind) => array instanceof kind)) throw new DOMException("The data argument must be an integer-type TypedArray", "TypeMismatchError");
    if (array.byteLength > MAX_RANDOM) throw new DOMException(`The requested length exceeds ${MAX_RANDOM} bytes`, "QuotaExceededError");
    native.random(bytesOf(array));
    return array;
  },
  randomUUID() {
    const bytes = new Uint8Array(16);
    native.random(bytes);
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    const hex = bytes.toHex();
    return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
  },
});
