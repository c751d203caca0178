// Keeps notes in the object store. The last two tokens of the subject say what to do:
// `notes.put.NAME` keeps the payload, `notes.get.NAME` answers with it,
// `notes.delete.NAME` forgets it, `notes.list.all` names all there are.
(subject, payload) => {
  const { objectStore } = hostServices;
  const [action, name] = subject.split(".").slice(-2);
  switch (action) {
    case "put":
      objectStore.put(name, payload);
      return { kept: name, bytes: payload.length };
    case "get":
      return objectStore.get(name);
    case "delete":
      objectStore.delete(name);
      return { forgotten: name };
    case "list":
      return objectStore.list().map((note) => note.name);
    default:
      throw new Error(`cannot ${action} a note; there are put, get, delete and list`);
  }
}
