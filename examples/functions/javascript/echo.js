// Answers with what it gets, byte for byte.
(subject, payload) => payload
