//! Host services as scripts name them: which number is which call, and how it is written.

use bytes::Bytes;
use nex_protocol::agent::header;
use nex_protocol::nats::HeaderMap;

use crate::provider::function::{HostCall, HostReply};

/// Longest key, object name, subject or URL.
const MAX_ARGUMENT_BYTES: usize = 8 << 10;
/// Largest body. The node may allow less.
const MAX_BODY_BYTES: usize = 8 << 20;
/// What calls without an argument send.
const NO_ARGUMENT: &[u8] = b"{}";

/// One call of a script.
struct Service {
    service: &'static str,
    method: &'static str,
    /// The header that the argument goes into.
    argument: Option<&'static str>,
}

const fn with(service: &'static str, method: &'static str, argument: &'static str) -> Service {
    Service { service, method, argument: Some(argument) }
}

const fn without(service: &'static str, method: &'static str) -> Service {
    Service { service, method, argument: None }
}

/// The place of each is its number in `services.js` of the engine.
const SERVICES: [Service; 17] = [
    with("kv", "get", header::KEY_VALUE_KEY),
    with("kv", "set", header::KEY_VALUE_KEY),
    with("kv", "delete", header::KEY_VALUE_KEY),
    without("kv", "keys"),
    with("objectstore", "get", header::OBJECT_NAME),
    with("objectstore", "put", header::OBJECT_NAME),
    with("objectstore", "delete", header::OBJECT_NAME),
    without("objectstore", "list"),
    with("messaging", "publish", header::MESSAGING_SUBJECT),
    with("messaging", "request", header::MESSAGING_SUBJECT),
    with("messaging", MANY, header::MESSAGING_SUBJECT),
    with("http", "get", header::HTTP_URL),
    with("http", "head", header::HTTP_URL),
    with("http", "delete", header::HTTP_URL),
    with("http", "post", header::HTTP_URL),
    with("http", "put", header::HTTP_URL),
    with("http", "patch", header::HTTP_URL),
];

/// The one method whose answer has any number of parts.
const MANY: &str = "requestMany";

fn service(number: i32) -> Option<&'static Service> {
    usize::try_from(number).ok().and_then(|number| SERVICES.get(number))
}

/// The call that a guest means, or why there is none.
pub(super) fn call(number: i32, argument: &[u8], body: &[u8]) -> Result<HostCall, String> {
    let Some(Service { service, method, argument: name }) = service(number) else {
        return Err("no such host service".to_owned());
    };
    if argument.len() > MAX_ARGUMENT_BYTES {
        return Err(format!("{service}.{method}: more than {MAX_ARGUMENT_BYTES} bytes of text"));
    }
    if body.len() > MAX_BODY_BYTES {
        return Err(format!("{service}.{method}: a body of more than {MAX_BODY_BYTES} bytes"));
    }
    let mut headers = HeaderMap::new();
    if let Some(name) = name {
        let argument = std::str::from_utf8(argument)
            .ok()
            // Headers lose it, and then another key or subject would be meant.
            .filter(|text| text.trim().len() == text.len())
            .ok_or_else(|| format!("{service}.{method}: white space at an end of the name"))?;
        headers.insert(name, argument).map_err(|_| {
            format!("{service}.{method}: the name cannot be sent: it is not one line")
        })?;
    }
    let body = if name.is_none() { NO_ARGUMENT } else { body };
    Ok(HostCall { service, method, headers, body: Bytes::copy_from_slice(body) })
}

/// The parts of an answer.
pub(super) fn parts(number: i32, reply: HostReply) -> Result<Vec<Bytes>, String> {
    let many = service(number).is_some_and(|service| service.method == MANY);
    if many || reply.parts.len() == 1 {
        Ok(reply.parts)
    } else {
        Err("the host service gave no answer".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_is_a_call_of_the_protocol() {
        for number in 0..SERVICES.len() {
            let call = call(number.try_into().unwrap(), b"a", b"body").unwrap();
            let asks_for_all = ["keys", "list"].contains(&call.method);
            assert_eq!(call.headers.len(), usize::from(!asks_for_all), "{call:?}");
            assert_eq!(&call.body[..], if asks_for_all { NO_ARGUMENT } else { b"body" });
        }
    }

    #[test]
    fn what_cannot_be_sent_is_refused_with_a_reason() {
        let long = vec![b'a'; MAX_ARGUMENT_BYTES + 1];
        let large = vec![0; MAX_BODY_BYTES + 1];
        for (number, argument, body) in [
            (-1, &b"a"[..], &b""[..]),
            (17, b"a", b""),
            (i32::MIN, b"a", b""),
            (0, &long, b""),
            (1, b"a", &large),
            (8, b"two\r\nlines", b""),
            (8, b" a", b""),
            (8, b"a\t", b""),
            (8, b"\xff", b""),
        ] {
            assert!(!call(number, argument, body).unwrap_err().is_empty());
        }
    }

    #[test]
    fn only_request_many_may_have_any_number_of_answers() {
        let reply = |count| HostReply { parts: vec![Bytes::new(); count] };
        assert!(parts(0, reply(0)).is_err());
        assert!(parts(0, reply(2)).is_err());
        assert_eq!(parts(0, reply(1)).unwrap().len(), 1);
        assert_eq!(parts(10, reply(0)).unwrap().len(), 0);
        assert_eq!(parts(10, reply(3)).unwrap().len(), 3);
    }
}
