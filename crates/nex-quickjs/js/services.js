// hostServices, and what a function is told about its message.

function service(number, argument, body) {
  return native.service(number, argument, body);
}

function wanted(value, what) {
  if (value === undefined || value === null) throw new TypeError(`${what} is missing`);
  return text(value);
}

function bytesFor(value, what) {
  if (!(value instanceof Uint8Array)) throw new TypeError(`${what} must be a Uint8Array, not ${value === null ? "null" : typeof value === "object" ? className(value) ?? "an object" : typeof value}`);
  return value;
}

// A body that is JSON. What the host answered has been understood there, so what cannot be read is
// no answer of a host service.
function json(parts) {
  return JSON.parse(native.decode(parts[0], false));
}

// `response` is the body as a text, `body` its bytes.
function http(number, name, hasBody) {
  return (url, body) => {
    const to = wanted(url, `http.${name}: the URL`);
    const sent = hasBody && body !== undefined ? bytesFor(body, `http.${name}: the body`) : undefined;
    const answer = json(service(number, to, sent));
    const headers = {};
    for (const [key, values] of Object.entries(answer.headers ?? {})) headers[key] = values.join(", ");
    const bytes = answer.body_base64 === undefined ? undefined : Uint8Array.fromBase64(answer.body_base64);
    const response = { status: answer.status, headers };
    if (name !== "head") response.response = bytes ? native.decode(bytes, false) : answer.body ?? "";
    return Object.defineProperty(response, "body", {
      get() { return bytes ?? native.encode(answer.body ?? ""); },
      enumerable: false,
      configurable: true,
    });
  };
}

define("hostServices", {
  kv: {
    get(key) { return service(0, wanted(key, "kv.get: the key"))[0]; },
    set(key, value) { service(1, wanted(key, "kv.set: the key"), bytesFor(value, "kv.set: the value")); },
    delete(key) { service(2, wanted(key, "kv.delete: the key")); },
    keys() { return json(service(3, "")); },
  },
  objectStore: {
    get(name) { return service(4, wanted(name, "objectStore.get: the name"))[0]; },
    put(name, value) { return json(service(5, wanted(name, "objectStore.put: the name"), bytesFor(value, "objectStore.put: the value"))); },
    delete(name) { service(6, wanted(name, "objectStore.delete: the name")); },
    list() { return json(service(7, "")); },
  },
  messaging: {
    publish(subject, body) { service(8, wanted(subject, "messaging.publish: the subject"), bytesFor(body, "messaging.publish: the body")); },
    request(subject, body) { return service(9, wanted(subject, "messaging.request: the subject"), bytesFor(body, "messaging.request: the body"))[0]; },
    requestMany(subject, body) { return service(10, wanted(subject, "messaging.requestMany: the subject"), bytesFor(body, "messaging.requestMany: the body")); },
  },
  http: {
    get: http(11, "get", false),
    head: http(12, "head", false),
    delete: http(13, "delete", false),
    post: http(14, "post", true),
    put: http(15, "put", true),
    patch: http(16, "patch", true),
  },
});

define("process", { env: JSON.parse(native.read(4)) });

// Headers of a message: names in any case, several values each.
class MessageHeaders {
  #pairs;
  constructor(pairs) { this.#pairs = pairs; }
  #of(name) {
    const lower = text(name).toLowerCase();
    return this.#pairs.filter((pair) => pair[0].toLowerCase() === lower).map((pair) => pair[1]);
  }
  get(name) { return this.#of(name)[0] ?? null; }
  getAll(name) { return this.#of(name); }
  has(name) { return this.#of(name).length > 0; }
  keys() { return [...new Set(this.#pairs.map((pair) => pair[0]))].values(); }
  entries() { return this.#pairs.map((pair) => [...pair]).values(); }
  [Symbol.iterator]() { return this.entries(); }
  toJSON() { return Object.groupBy ? Object.fromEntries(Object.entries(Object.groupBy(this.#pairs, (pair) => pair[0])).map(([name, pairs]) => [name, pairs.map((pair) => pair[1])])) : {}; }
}

// The third argument of a function. What it holds is asked of the host when it is read.
function keep(context, name, value) {
  Object.defineProperty(context, name, { value, enumerable: true, configurable: true, writable: true });
  return value;
}

class Context {
  get headers() { return keep(this, "headers", new MessageHeaders(JSON.parse(native.read(3)))); }
  get reply() { return keep(this, "reply", native.read(2) || undefined); }
  get deadline() { return keep(this, "deadline", native.clock(2)); }
  get env() { return globalThis.process.env; }
}
