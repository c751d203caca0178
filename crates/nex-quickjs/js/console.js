// console: each call is a line of the workload's log. The levels are those of the agent protocol.

const ERROR = 2, WARN = 3, INFO = 4, DEBUG = 5, TRACE = 6;
let indent = "";
const counts = new Map(), clocks = new Map();

function write(level, args) {
  const text = format(args);
  native.log(level, (indent ? indent + text.replaceAll("\n", "\n" + indent) : text).toWellFormed());
}

function since(label) {
  return `${label}: ${(native.clock(1) - clocks.get(label)).toFixed(3)}ms`;
}

define("console", {
  log(...args) { write(INFO, args); },
  info(...args) { write(INFO, args); },
  debug(...args) { write(DEBUG, args); },
  warn(...args) { write(WARN, args); },
  error(...args) { write(ERROR, args); },
  trace(...args) {
    const stack = new Error().stack.split("\n").slice(1).join("\n").trimEnd();
    write(TRACE, [`Trace: ${format(args)}`.replaceAll("%", "%%") + `\n${stack}`]);
  },
  assert(condition, ...args) {
    if (condition) return;
    if (typeof args[0] === "string") args[0] = `Assertion failed: ${args[0]}`;
    else args.unshift("Assertion failed");
    write(ERROR, args);
  },
  dir(value) { write(INFO, [typeof value === "string" ? quote(value) : value]); },
  table(value) { write(INFO, [value]); },
  group(...args) {
    if (args.length) write(INFO, args);
    indent += "  ";
  },
  groupEnd() { indent = indent.slice(2); },
  count(label = "default") {
    counts.set(`${label}`, (counts.get(`${label}`) ?? 0) + 1);
    write(INFO, [`${label}: ${counts.get(`${label}`)}`]);
  },
  countReset(label = "default") { counts.delete(`${label}`); },
  time(label = "default") { clocks.set(`${label}`, native.clock(1)); },
  timeLog(label = "default", ...args) {
    if (clocks.has(`${label}`)) write(INFO, [since(`${label}`), ...args]);
  },
  timeEnd(label = "default") {
    if (clocks.has(`${label}`)) write(INFO, [since(`${label}`)]);
    clocks.delete(`${label}`);
  },
});
globalThis.console.groupCollapsed = globalThis.console.group;
