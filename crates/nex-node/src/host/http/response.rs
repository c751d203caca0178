//! A response as a function reads it.

use std::collections::BTreeMap;

use bytes::Bytes;
use data_encoding::BASE64;
use hyper::{HeaderMap, StatusCode};
use serde::Serialize;

/// The body of a reply to a call of `http.…`.
#[derive(Debug, Serialize)]
struct HttpReply<'a> {
    status: u16,
    headers: BTreeMap<String, Vec<String>>,
    /// The response's body if it is text.
    body: &'a str,
    /// The response's body if it is not, or if it is shorter so. Ours: agents of the Go node
    /// know only `body`, and get such a body with its foreign bytes replaced.
    #[serde(skip_serializing_if = "Option::is_none")]
    body_base64: Option<String>,
}

/// The reply, in `room` bytes if it can be.
pub(super) fn encode(
    status: StatusCode,
    headers: &HeaderMap,
    body: &Bytes,
    room: usize,
    legacy: bool,
) -> Bytes {
    let text = std::str::from_utf8(body);
    let lossy = if legacy && text.is_err() { String::from_utf8_lossy(body) } else { "".into() };
    let mut reply = HttpReply {
        status: status.as_u16(),
        headers: names_and_values(headers),
        body: text.unwrap_or(&lossy),
        body_base64: (!legacy && text.is_err()).then(|| BASE64.encode(body)),
    };
    // Texts and numbers always serialize.
    let mut encoded = serde_json::to_vec(&reply).unwrap_or_default();
    if encoded.len() > room && !legacy && reply.body_base64.is_none() {
        // Text that is mostly escapes grows six times.
        reply.body_base64 = Some(BASE64.encode(body));
        reply.body = "";
        encoded = serde_json::to_vec(&reply).unwrap_or_default();
    }
    encoded.into()
}

fn names_and_values(headers: &HeaderMap) -> BTreeMap<String, Vec<String>> {
    let mut all = BTreeMap::<String, Vec<String>>::new();
    for (name, value) in headers {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        all.entry(canonical(name.as_str())).or_default().push(value);
    }
    all
}

/// A header's name as Go writes it, and functions look for it: `Content-Type`.
fn canonical(name: &str) -> String {
    let mut start = true;
    let letter = |letter: char| {
        let upper = std::mem::replace(&mut start, letter == '-');
        if upper { letter.to_ascii_uppercase() } else { letter.to_ascii_lowercase() }
    };
    name.chars().map(letter).collect()
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn reply(body: &[u8], room: usize, legacy: bool) -> Value {
        let mut headers = HeaderMap::new();
        headers.append("x-two", HeaderValue::from_static("a"));
        headers.append("x-two", HeaderValue::from_static("b"));
        let body = Bytes::copy_from_slice(body);
        let encoded = encode(StatusCode::OK, &headers, &body, room, legacy);
        serde_json::from_slice(&encoded).unwrap()
    }

    #[test]
    fn a_text_is_as_a_go_node_replies() {
        let expected = serde_json::json!({
            "status": 200, "headers": {"X-Two": ["a", "b"]}, "body": "hi",
        });
        assert_eq!(reply(b"hi", 1000, false), expected);
        assert_eq!(reply(b"hi", 1000, true), expected);
    }

    #[test]
    fn an_old_agent_gets_what_it_can_read() {
        let read = reply(b"a\xff", 1000, true);
        assert_eq!(read["body"], "a\u{fffd}");
        assert!(read.get("body_base64").is_none());
    }

    #[test]
    fn a_text_of_escapes_is_sent_the_shorter_way() {
        let read = reply(&[1; 100], 400, false);
        assert_eq!(read["body"], "");
        assert_eq!(read["body_base64"], BASE64.encode(&[1; 100]));
    }

    proptest! {
        #[test]
        fn bytes_stay_bytes(body: Vec<u8>, room in 0_usize..300) {
            let read = reply(&body, room, false);
            let found = match read.get("body_base64") {
                Some(base64) => BASE64.decode(base64.as_str().unwrap().as_bytes()).unwrap(),
                None => read["body"].as_str().unwrap().as_bytes().to_vec(),
            };
            prop_assert_eq!(found, body);
        }
    }
}
