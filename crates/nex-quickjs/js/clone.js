// structuredClone.

const ERRORS = { Error, EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError };

function notCloneable(value) {
  const shown = typeof value === "symbol" ? value.toString() : typeof value === "function" ? Function.prototype.toString.call(value) : "#<" + (className(value) ?? "Object") + ">";
  return new DOMException(`${shown} could not be cloned.`, "DataCloneError");
}

function clone(value, seen) {
  if (typeof value === "symbol" || typeof value === "function") throw notCloneable(value);
  if (typeof value !== "object" || value === null) return value;
  if (seen.has(value)) return seen.get(value);
  const keep = (copy) => {
    seen.set(value, copy);
    return copy;
  };
  if (native.proxy(value) !== undefined) throw notCloneable(value);
  const kind = tag(value);
  if (Array.isArray(value)) return fill(keep(new Array(value.length)), value, seen);
  if (value instanceof Boolean || value instanceof Number || value instanceof String) return keep(Object(value.valueOf()));
  if (value instanceof BigInt) return keep(Object(BigInt.prototype.valueOf.call(value)));
  if (value instanceof Date) return keep(new Date(value.getTime()));
  if (value instanceof RegExp) return keep(new RegExp(value.source, value.flags));
  if (value instanceof ArrayBuffer) {
    if (value.detached) throw new DOMException("An ArrayBuffer is detached and could not be cloned.", "DataCloneError");
    return keep(value.slice(0));
  }
  if (ArrayBuffer.isView(value)) {
    const buffer = clone(value.buffer, seen);
    return keep(value instanceof DataView ? new DataView(buffer, value.byteOffset, value.byteLength) : new globalThis[tag(value)](buffer, value.byteOffset, value.length));
  }
  if (value instanceof Map) {
    const copy = keep(new Map());
    for (const [k, v] of [...Map.prototype.entries.call(value)]) copy.set(clone(k, seen), clone(v, seen));
    return copy;
  }
  if (value instanceof Set) {
    const copy = keep(new Set());
    for (const item of [...Set.prototype.values.call(value)]) copy.add(clone(item, seen));
    return copy;
  }
  if (value instanceof Error) {
    const copy = keep(Object.create((ERRORS[value.name] ?? Error).prototype));
    const made = new (ERRORS[value.name] ?? Error)();
    Object.setPrototypeOf(made, (ERRORS[value.name] ?? Error).prototype);
    seen.set(value, made);
    for (const name of ["message", "stack", "cause"]) {
      const own = Object.getOwnPropertyDescriptor(value, name);
      if (own && "value" in own) Object.defineProperty(made, name, { value: name === "cause" ? clone(own.value, seen) : text(own.value), writable: true, configurable: true, enumerable: false });
    }
    return made;
  }
  if (native.promise(value) || value instanceof WeakMap || value instanceof WeakSet || value instanceof WeakRef || ["Generator", "AsyncGenerator"].includes(kind)) throw notCloneable(value);
  return fill(keep({}), value, seen);
}

function fill(copy, value, seen) {
  for (const key of Object.keys(value)) copy[key] = clone(value[key], seen);
  return copy;
}

define("structuredClone", function structuredClone(value, options = {}) {
  if (arguments.length === 0) throw new TypeError("The \"value\" argument must be specified");
  const seen = new Map();
  const moved = [];
  for (const item of options.transfer ?? []) {
    if (!(item instanceof ArrayBuffer)) throw new DOMException("Value not transferable", "DataCloneError");
    if (item.detached || moved.includes(item)) throw new DOMException("An ArrayBuffer cannot be transferred twice", "DataCloneError");
    moved.push(item);
  }
  const copies = moved.map((item) => item.slice(0));
  moved.forEach((item, at) => seen.set(item, copies[at]));
  const copy = clone(value, seen);
  moved.forEach((item) => item.transfer(0));
  return copy;
});
