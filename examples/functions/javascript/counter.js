// Counts its calls in the key-value store, so that the number outlives the function:
// `{"count":1}`, `{"count":2}`, … Two calls at the same moment may count as one.
(subject, payload) => {
  const { kv } = hostServices;
  const key = "count";
  const known = kv.keys().includes(key);
  const before = known ? Number(new TextDecoder().decode(kv.get(key))) : 0;
  const count = before + 1;
  kv.set(key, new TextEncoder().encode(String(count)));
  return { count };
}
