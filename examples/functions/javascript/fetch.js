// Fetches the address in the payload and tells about the answer. A node lets functions
// reach public addresses only, unless its configuration names others.
(subject, payload) => {
  const url = new TextDecoder().decode(payload);
  const { status, headers, body } = hostServices.http.get(url);
  const type = headers["Content-Type"] ?? headers["content-type"] ?? null;
  return { status, type, bytes: body.length };
}
