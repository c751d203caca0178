// Values as text, for the log: as Node writes them, but always in one line (save what has lines of
// its own), since a log line is one.

const NAME = /^[A-Za-z_$][\w$]*$/;
const DEPTH = 2;
const MAX_ITEMS = 100;
const MAX_TEXT = 10000;

function quote(text) {
  const cut = text.length > MAX_TEXT ? text.slice(0, MAX_TEXT) : text;
  const escaped = cut.replace(/[\\\x00-\x1f\x7f-\x9f]/g, (c) => {
    const known = { "\n": "\\n", "\t": "\\t", "\r": "\\r", "\b": "\\b", "\f": "\\f", "\v": "\\v", "\\": "\\\\" }[c];
    return known ?? "\\x" + c.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0");
  });
  const mark = !cut.includes("'") ? "'" : !cut.includes('"') ? '"' : !cut.includes("`") && !cut.includes("${") ? "`" : "'";
  const rest = cut === text ? "" : `... ${text.length - MAX_TEXT} more characters`;
  return mark + (mark === "'" ? escaped.replaceAll("'", "\\'") : escaped) + mark + rest;
}

function className(value) {
  for (let at = value; at; at = Object.getPrototypeOf(at)) {
    const own = Object.getOwnPropertyDescriptor(at, "constructor");
    if (own && typeof own.value === "function" && own.value.name) return own.value.name;
  }
  return null;
}

function errorText(error) {
  const stack = typeof error.stack === "string" ? error.stack.trimEnd() : "";
  let head;
  try {
    head = Error.prototype.toString.call(error);
  } catch {
    head = "Error";
  }
  return stack ? `${head}\n${stack}` : head;
}

const tag = (value) => Object.prototype.toString.call(value).slice(8, -1);
const TypedArray = Object.getPrototypeOf(Uint8Array);

function inspect(value, depth = 0, seen = []) {
  switch (typeof value) {
    case "string": return quote(value);
    case "bigint": return `${value}n`;
    case "number": return Object.is(value, -0) ? "-0" : `${value}`;
    case "undefined": case "boolean": return `${value}`;
    case "symbol": return value.toString();
  }
  if (value === null) return "null";
  if (seen.includes(value)) return "[Circular *1]";
  const target = native.proxy(value);
  if (target !== undefined) return target === null ? "<Revoked Proxy>" : inspect(target, depth, seen);
  return inspectObject(value, depth, [...seen, value]);
}

function inspectObject(value, depth, seen) {
  const name = className(value);
  const keys = Reflect.ownKeys(value).filter((key) => Object.prototype.propertyIsEnumerable.call(value, key));
  let named = keys, items = [], open = "{", close = "}", prefix = "";
  const sub = (inner) => inspect(inner, depth + 1, seen);
  const list = (entries, size, show) => {
    let at = 0;
    for (const entry of entries) {
      if (at++ === MAX_ITEMS) break;
      items.push(show(entry));
    }
    const more = size - MAX_ITEMS;
    if (more > 0) items.push(`... ${more} more item${more > 1 ? "s" : ""}`);
  };
  const shallow = depth > DEPTH;
  if (Array.isArray(value) || value instanceof TypedArray) {
    named = keys.filter((key) => typeof key === "symbol" || !/^\d+$/.test(key));
    open = "[", close = "]";
    if (!Array.isArray(value) || name !== "Array") prefix = `${name ?? "[Array: null prototype]"}(${value.length}) `;
    if (shallow) return `[${name ?? "Array"}]`;
    let holes = 0;
    const flush = () => {
      if (holes) items.push(`<${holes} empty item${holes > 1 ? "s" : ""}>`);
      holes = 0;
    };
    for (let at = 0; at < value.length && items.length < MAX_ITEMS; at++) {
      if (at in value) flush(), items.push(sub(value[at]));
      else holes++;
    }
    flush();
    const more = value.length - MAX_ITEMS;
    if (more > 0 && items.length >= MAX_ITEMS) items.push(`... ${more} more item${more > 1 ? "s" : ""}`);
  } else if (typeof value === "function") {
    const source = Function.prototype.toString.call(value);
    const kind = source.startsWith("class") ? "class" : tag(value);
    const base = kind === "class" ? `[class ${value.name || "(anonymous)"}]` : `[${kind}${value.name ? `: ${value.name}` : " (anonymous)"}]`;
    if (!keys.length) return base;
    prefix = base + " ";
  } else if (value instanceof Error) {
    const text = errorText(value);
    const cause = Object.hasOwn(value, "cause") && depth <= DEPTH ? [`[cause]: ${sub(value.cause)}`] : [];
    const errors = value instanceof AggregateError ? [`[errors]: ${sub(value.errors)}`] : [];
    const own = keys.filter((key) => key !== "cause" && key !== "errors");
    if (!own.length && !cause.length && !errors.length) return text.includes("\n") ? text : `[${text}]`;
    prefix = text + " ";
    named = own;
    items = [...cause, ...errors];
  } else if (value instanceof Date) {
    const text = isNaN(value) ? "Invalid Date" : Date.prototype.toISOString.call(value);
    if (!keys.length) return text;
    prefix = text + " ";
  } else if (value instanceof RegExp) {
    if (!keys.length) return RegExp.prototype.toString.call(value);
    prefix = RegExp.prototype.toString.call(value) + " ";
  } else if (value instanceof Map || value instanceof Set) {
    if (shallow) return `[${name}]`;
    prefix = `${name}(${value.size}) `;
    if (value instanceof Map) list(Map.prototype.entries.call(value), value.size, ([k, v]) => `${sub(k)} => ${sub(v)}`);
    else list(Set.prototype.values.call(value), value.size, sub);
  } else if (value instanceof ArrayBuffer) {
    const bytes = [...new Uint8Array(value, 0, Math.min(50, value.byteLength))];
    const more = value.byteLength - 50;
    const hex = bytes.map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
    prefix = "ArrayBuffer ";
    items = [`[Uint8Contents]: <${hex}${more > 0 ? ` ... ${more} more byte${more > 1 ? "s" : ""}` : ""}>`, `byteLength: ${value.byteLength}`];
  } else if (native.promise(value)) {
    const [state, result] = native.promise(value);
    prefix = "Promise ";
    items = [state === 0 ? "<pending>" : state === 1 ? sub(result) : `<rejected> ${sub(result)}`];
  } else if (value instanceof WeakMap || value instanceof WeakSet) {
    return `${name} { <items unknown> }`;
  } else if (value instanceof Number || value instanceof String || value instanceof Boolean) {
    const text = `[${name}: ${inspect(value.valueOf())}]`;
    if (value instanceof String) named = keys.filter((key) => typeof key === "symbol" || !/^\d+$/.test(key));
    if (!named.length) return text;
    prefix = text + " ";
  } else {
    const own = tag(value);
    if (name === null) prefix = "[Object: null prototype] ";
    else if (name !== "Object") prefix = `${name} `;
    if (own !== "Object" && own !== name) prefix = `${prefix || "Object "}[${own}] `;
    if (shallow) return `[${prefix.trim() || "Object"}]`;
  }
  for (const key of named) {
    const own = Object.getOwnPropertyDescriptor(value, key);
    const label = typeof key === "symbol" ? `[${key.toString()}]` : NAME.test(key) ? key : quote(key);
    const shown = own.get ? (own.set ? "[Getter/Setter]" : "[Getter]") : own.set ? "[Setter]" : sub(own.value);
    items.push(`${label}: ${shown}`);
  }
  return items.length ? `${prefix}${open} ${items.join(", ")} ${close}` : `${prefix}${open}${close}`;
}

function format(args) {
  let start = 0, text = "";
  if (typeof args[0] === "string") {
    start = 1;
    text = args.length === 1 ? args[0] : args[0].replace(/%[sdifjoOc%]/g, (mark) => {
      if (mark === "%%") return "%";
      if (start >= args.length) return mark;
      const value = args[start++];
      switch (mark) {
        case "%s": return typeof value === "string" ? value : typeof value === "object" && value !== null && !(value instanceof Error) ? inspect(value, DEPTH) : typeof value === "object" && value !== null ? errorText(value) : typeof value === "bigint" ? `${value}n` : Object.is(value, -0) ? "-0" : String(value);
        case "%d": return typeof value === "bigint" ? `${value}n` : typeof value === "symbol" ? "NaN" : inspect(Number(value));
        case "%i": return typeof value === "bigint" ? `${value}n` : typeof value === "symbol" ? "NaN" : inspect(parseInt(value));
        case "%f": return typeof value === "symbol" ? "NaN" : inspect(parseFloat(value));
        case "%j": try { return JSON.stringify(value); } catch { return "[Circular]"; }
        case "%c": return "";
        default: return inspect(value);
      }
    });
  }
  for (const value of args.slice(start)) {
    const shown = typeof value === "string" ? value : inspect(value);
    text += start++ ? ` ${shown}` : shown;
  }
  return text;
}
