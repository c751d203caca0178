// URL and URLSearchParams. The host parses, by the same standard as browsers: it answers the parts
// of a URL, one a line, or nothing for what is none.

const PARSE = 0, PARSE_WITH_BASE = 1;
const PARTS = ["href", "origin", "protocol", "username", "password", "host", "hostname", "port", "pathname", "search", "hash"];
// Which change of a URL each number asks for, from 2 on.
const CHANGES = ["protocol", "username", "password", "host", "hostname", "port", "pathname", "search", "hash"];

function parseUrl(url, base) {
  return base === undefined ? native.url(PARSE, text(url), "") : native.url(PARSE_WITH_BASE, text(url), text(base));
}

function invalidUrl(input) {
  return Object.assign(new TypeError("Invalid URL"), { code: "ERR_INVALID_URL", input: text(input) });
}

let readParts, linkParams, resetParams;

class URL {
  #parts;
  #params;
  static {
    readParts = (url) => url.#parts;
  }
  static canParse(url, base) { return parseUrl(url, base) !== undefined; }
  static parse(url, base) {
    try { return new URL(url, base); } catch { return null; }
  }
  constructor(url, base) {
    const parts = parseUrl(url, base);
    if (parts === undefined) throw invalidUrl(url);
    this.#parts = parts.split("\n");
  }
  get href() { return this.#parts[0]; }
  set href(value) {
    const parts = parseUrl(value);
    if (parts === undefined) throw invalidUrl(value);
    this.#take(parts);
  }
  get origin() { return this.#parts[1]; }
  get searchParams() { return this.#params ??= linkParams(this, (query) => this.#change("search", query)); }
  toString() { return this.href; }
  toJSON() { return this.href; }
  #take(parts) {
    this.#parts = parts.split("\n");
    if (this.#params) resetParams(this.#params, this.#parts[9]);
  }
  #change(name, value) {
    const parts = native.url(CHANGES.indexOf(name) + 2, this.href, value);
    if (parts !== undefined) this.#parts = parts.split("\n");
  }
  static {
    PARTS.forEach((name, at) => {
      if (!CHANGES.includes(name)) return;
      Object.defineProperty(URL.prototype, name, {
        get() { return this.#parts[at]; },
        set(value) {
          this.#change(name, text(value));
          if (name === "search" && this.#params) resetParams(this.#params, this.#parts[9]);
        },
        enumerable: true,
        configurable: true,
      });
    });
    for (const name of ["href", "origin", "searchParams", "toString", "toJSON"]) {
      Object.defineProperty(URL.prototype, name, { enumerable: true });
    }
  }
}

function decodePart(part) {
  const spaced = part.replaceAll("+", " ");
  if (!spaced.includes("%")) return spaced;
  const bytes = native.encode(spaced);
  let to = 0;
  for (let at = 0; at < bytes.length; at++, to++) {
    const code = bytes[at] === 0x25 ? String.fromCharCode(bytes[at + 1], bytes[at + 2]) : "";
    if (/^[0-9a-f]{2}$/i.test(code)) {
      bytes[to] = parseInt(code, 16);
      at += 2;
    } else bytes[to] = bytes[at];
  }
  return native.decode(bytes.subarray(0, to), false);
}

function encodePart(part) {
  return encodeURIComponent(part).replaceAll("%20", "+").replace(/[!'()~]/g, (c) => "%" + c.charCodeAt(0).toString(16).toUpperCase());
}

function parseQuery(query) {
  const pairs = [];
  for (const pair of query.split("&")) {
    if (!pair) continue;
    const at = pair.indexOf("=");
    pairs.push(at < 0 ? [decodePart(pair), ""] : [decodePart(pair.slice(0, at)), decodePart(pair.slice(at + 1))]);
  }
  return pairs;
}

class URLSearchParams {
  #pairs = [];
  #changed = () => {};
  static {
    linkParams = (url, changed) => {
      const params = new URLSearchParams(readParts(url)[9]);
      params.#changed = () => changed(params.toString());
      return params;
    };
    resetParams = (params, query) => { params.#pairs = parseQuery(query.slice(1)); };
  }
  constructor(init) {
    if (init === undefined || init === null) return;
    if (typeof init === "object" || typeof init === "function") {
      if (typeof init[Symbol.iterator] === "function") {
        for (const pair of init) {
          const items = pair !== null && typeof pair === "object" && typeof pair[Symbol.iterator] === "function" ? [...pair] : [];
          if (items.length !== 2) throw Object.assign(new TypeError("Each query pair must be an iterable [name, value] tuple"), { code: "ERR_INVALID_TUPLE" });
          this.#pairs.push(items.map(text));
        }
      } else {
        for (const name of Reflect.ownKeys(init)) {
          if (Object.prototype.propertyIsEnumerable.call(init, name)) this.set(name, init[name]);
        }
      }
    } else {
      const query = text(init);
      this.#pairs = parseQuery(query[0] === "?" ? query.slice(1) : query);
    }
  }
  get size() { return this.#pairs.length; }
  append(name, value) {
    this.#pairs.push([text(name), text(value)]);
    this.#changed();
  }
  delete(name, value) {
    const gone = (pair) => pair[0] === text(name) && (value === undefined || pair[1] === text(value));
    this.#pairs = this.#pairs.filter((pair) => !gone(pair));
    this.#changed();
  }
  get(name) { return this.#pairs.find((pair) => pair[0] === text(name))?.[1] ?? null; }
  getAll(name) { return this.#pairs.filter((pair) => pair[0] === text(name)).map((pair) => pair[1]); }
  has(name, value) {
    return this.#pairs.some((pair) => pair[0] === text(name) && (value === undefined || pair[1] === text(value)));
  }
  set(name, value) {
    const first = this.#pairs.findIndex((pair) => pair[0] === text(name));
    if (first < 0) this.#pairs.push([text(name), text(value)]);
    else {
      this.#pairs[first][1] = text(value);
      this.#pairs = this.#pairs.filter((pair, at) => at <= first || pair[0] !== text(name));
    }
    this.#changed();
  }
  sort() {
    this.#pairs.sort((a, b) => (a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : 0));
    this.#changed();
  }
  forEach(call, self) {
    for (const [name, value] of this) call.call(self, value, name, this);
  }
  *entries() { for (let at = 0; at < this.#pairs.length; at++) yield [...this.#pairs[at]]; }
  *keys() { for (const [name] of this.entries()) yield name; }
  *values() { for (const [, value] of this.entries()) yield value; }
  [Symbol.iterator]() { return this.entries(); }
  toString() { return this.#pairs.map(([name, value]) => `${encodePart(name)}=${encodePart(value)}`).join("&"); }
}

define("URL", URL);
define("URLSearchParams", URLSearchParams);
