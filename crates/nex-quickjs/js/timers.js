// Timers and clocks. Time that counts is that of the host, anew in every call.

const MAX_DELAY = 2 ** 31 - 1;
let timers = [], lastTimer = 0;

function addTimer(call, delay, args, repeat) {
  if (typeof call !== "function") throw Object.assign(new TypeError("The callback must be a function"), { code: "ERR_INVALID_ARG_TYPE" });
  const wait = Math.trunc(Number(delay));
  const after = wait >= 1 && wait <= MAX_DELAY ? wait : 1;
  place({ id: ++lastTimer, at: native.clock(1) + after, after, call, args, repeat });
  return lastTimer;
}

function place(timer) {
  let at = timers.length;
  while (at > 0 && timers[at - 1].at > timer.at) at--;
  timers.splice(at, 0, timer);
}

function clearTimer(id) {
  timers = timers.filter((timer) => timer.id !== Number(id));
}

// Runs the timer that is due and answers 0; else milliseconds until one is; -1 where there is none.
// `forget` drops all.
function tick(forget) {
  if (forget) timers = [];
  const [first] = timers;
  if (!first) return -1;
  const wait = first.at - native.clock(1);
  if (wait > 0) return wait;
  timers.shift();
  if (first.repeat) {
    first.at = native.clock(1) + first.after;
    place(first);
  }
  first.call.apply(undefined, first.args);
  return 0;
}

define("setTimeout", function setTimeout(call, delay = 0, ...args) { return addTimer(call, delay, args, false); });
define("setInterval", function setInterval(call, delay = 0, ...args) { return addTimer(call, delay, args, true); });
define("clearTimeout", function clearTimeout(id) { clearTimer(id); });
define("clearInterval", function clearInterval(id) { clearTimer(id); });

define("performance", {
  now() { return native.clock(1); },
  get timeOrigin() { return native.clock(0) - native.clock(1); },
  toJSON() { return { timeOrigin: this.timeOrigin }; },
});
