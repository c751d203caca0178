// Asks another function: sends what it gets to `hello`, publishes the reply on
// `relay.heard` for whoever listens, and answers with it.
(subject, payload) => {
  const { messaging } = hostServices;
  const reply = messaging.request("hello", payload);
  messaging.publish("relay.heard", reply);
  return reply;
}
