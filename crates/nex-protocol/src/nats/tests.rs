//! Codec properties: what is written is read back, wherever the stream is cut; nothing panics.

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;

use super::*;

fn client_ops(chunks: &[&[u8]]) -> (Vec<ClientOp>, Option<String>) {
    let mut decoder = Decoder::new(Limits::default());
    let mut ops = Vec::new();
    for chunk in chunks {
        decoder.push(chunk);
        loop {
            match decoder.next_client_op() {
                Ok(Some(op)) => ops.push(op),
                Ok(None) => break,
                Err(error) => return (ops, Some(error.to_string())),
            }
        }
    }
    (ops, None)
}

fn server_ops(chunks: &[&[u8]]) -> (Vec<ServerOp>, Option<String>) {
    let mut decoder = Decoder::new(Limits::default());
    let mut ops = Vec::new();
    for chunk in chunks {
        decoder.push(chunk);
        loop {
            match decoder.next_server_op() {
                Ok(Some(op)) => ops.push(op),
                Ok(None) => break,
                Err(error) => return (ops, Some(error.to_string())),
            }
        }
    }
    (ops, None)
}

fn client_error(bytes: &[u8]) -> DecodeError {
    let mut decoder = Decoder::new(Limits::default());
    decoder.push(bytes);
    let error = loop {
        match decoder.next_client_op() {
            Ok(Some(_)) => {}
            Ok(None) => panic!("no error in {:?}", String::from_utf8_lossy(bytes)),
            Err(error) => break error,
        }
    };
    assert!(matches!(decoder.next_client_op(), Err(DecodeError::AfterError)));
    error
}

#[test]
fn what_clients_really_send() {
    let (ops, error) = client_ops(&[
        b"CONNECT {\"verbose\":false,\"pedantic\":false,\"jwt\":\"\",\"user\":null,\"pass\":\"\",\
          \"lang\":\"go\",\"version\":\"1.31.0\",\"protocol\":1,\"echo\":true,\"headers\":true,\
          \"no_responders\":true,\"later\":[{}]}\r\nPING\r\nsub  a.b\tworkers 12\r\n\
          UNSUB 12 3\r\nPUB a.b 0\r\n\r\nPUB a.b _INBOX.1 2\r\nhi\r\n\
          HPUB x 12 14\r\nNATS/1.0\r\n\r\nhi\r\npong \r\n",
    ]);
    assert_eq!(error, None);
    let mut ops = ops.into_iter();
    let Some(ClientOp::Connect(connect)) = ops.next() else { panic!("no CONNECT") };
    assert_eq!((connect.user.as_deref(), connect.pass.as_deref()), (None, None));
    assert!(connect.headers && connect.no_responders && connect.echo);
    assert_eq!(ops.next(), Some(ClientOp::Ping));
    assert_eq!(
        ops.next(),
        Some(ClientOp::Subscribe(Subscribe {
            subject: "a.b".into(),
            queue: Some("workers".into()),
            sid: "12".into()
        }))
    );
    assert_eq!(
        ops.next(),
        Some(ClientOp::Unsubscribe(Unsubscribe { sid: "12".into(), max: Some(3) }))
    );
    let publishes: Vec<_> = ops
        .by_ref()
        .take(3)
        .map(|op| match op {
            ClientOp::Publish(publish) => publish,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(publishes[0].payload, "");
    assert_eq!(publishes[1].reply, Some("_INBOX.1".into()));
    assert_eq!(publishes[1].payload, "hi");
    assert_eq!(publishes[2].headers, Some(HeaderMap::new()));
    assert_eq!(publishes[2].payload, "hi");
    assert_eq!(ops.next(), Some(ClientOp::Pong));
}

#[test]
fn what_servers_really_send() {
    let (ops, error) = server_ops(&[
        b"INFO {\"server_id\":\"N\",\"version\":\"2.10.5\",\"port\":4222,\"max_payload\":1048576,\
          \"connect_urls\":null,\"client_ip\":\"::1\",\"xkey\":\"X\"} \r\n+OK\r\n\
          -ERR 'Permissions Violation for Publish to \"a\"'\r\n-ERR authorization violation\r\n\
          MSG a 1 0\r\n\r\nHMSG a 1 r 16 16\r\nNATS/1.0 503\r\n\r\n\r\n",
    ]);
    assert_eq!(error, None);
    assert!(matches!(&ops[0], ServerOp::Info(info) if info.max_payload == 1_048_576));
    assert_eq!(ops[1], ServerOp::Ok);
    let ServerOp::Err(refusal) = &ops[2] else { panic!("{:?}", ops[2]) };
    assert_eq!(refusal.kind, ErrKind::PermissionsViolation);
    assert_eq!(refusal.text, "Permissions Violation for Publish to \"a\"");
    assert!(
        matches!(&ops[3], ServerOp::Err(refusal) if refusal.kind == ErrKind::AuthorizationViolation)
    );
    let ServerOp::Message(message) = &ops[5] else { panic!("{:?}", ops[5]) };
    let status = message.headers.as_ref().and_then(HeaderMap::status);
    assert_eq!(status.map(|status| status.code), Some(NO_RESPONDERS));
}

#[test]
fn each_breach_has_its_error() {
    let long = format!("PUB {} 0\r\n", "a".repeat(2000));
    let longer = format!("PUB {} 0", "a".repeat(5000));
    macro_rules! refused {
        ($bytes:expr, $pattern:pat) => {
            let error = client_error($bytes.as_ref());
            assert!(matches!(error, $pattern), "{}: {error:?}", String::from_utf8_lossy($bytes));
        };
    }
    refused!(b"PING\n", DecodeError::BareLineFeed);
    refused!(b"\r\n", DecodeError::UnknownOperation);
    refused!(b"MSG a 1 0\r\n\r\n", DecodeError::UnknownOperation);
    refused!(b"GET / HTTP/1.1\r\n", DecodeError::UnknownOperation);
    refused!(b"PING now\r\n", DecodeError::BadArguments { op: "PING" });
    refused!(b"PUB a\r\n", DecodeError::BadArguments { op: "PUB" });
    refused!(b"PUB a b c 1\r\n", DecodeError::BadArguments { op: "PUB" });
    refused!(b"HPUB a b c d 1 2\r\n", DecodeError::BadArguments { op: "HPUB" });
    refused!(b"SUB a\r\n", DecodeError::BadArguments { op: "SUB" });
    refused!(b"UNSUB\r\n", DecodeError::BadArguments { op: "UNSUB" });
    refused!(b"PUB a -1\r\n", DecodeError::BadNumber { .. });
    refused!(b"PUB a +1\r\n", DecodeError::BadNumber { .. });
    refused!(b"PUB a 0x1\r\n", DecodeError::BadNumber { .. });
    refused!(b"PUB a 18446744073709551616\r\n", DecodeError::BadNumber { .. });
    refused!(b"PUB a 18446744073709551615\r\n", DecodeError::PayloadTooLarge { .. });
    refused!(b"PUB a 1048577\r\n", DecodeError::PayloadTooLarge { .. });
    refused!(b"HPUB a 70000 80000\r\n", DecodeError::HeadersTooLarge { .. });
    refused!(b"HPUB a 13 12\r\n", DecodeError::HeadersBeyondTotal { .. });
    refused!(b"HPUB a 0 2\r\nhi\r\n", DecodeError::Headers(HeaderError::Line));
    refused!(b"PUB a 2\r\nhigh\r\n", DecodeError::MissingBodyEnd);
    refused!(b"PUB a\rb 2\r\nhi\r\n", DecodeError::ControlCharacter { .. });
    refused!(b"PUB a\x00b 2\r\nhi\r\n", DecodeError::ControlCharacter { .. });
    refused!(b"PUB a\xff 2\r\nhi\r\n", DecodeError::Text { .. });
    refused!(b"CONNECT {\r\n", DecodeError::Json { .. });
    refused!(b"CONNECT []x\r\n", DecodeError::Json { .. });
    refused!(long.as_bytes(), DecodeError::SubjectTooLong { size: 2000, .. });
    refused!(longer.as_bytes(), DecodeError::ControlLineTooLong { limit: 4096 });
}

#[test]
fn a_line_of_exactly_the_limit_passes_in_any_pieces() {
    let limits = Limits { max_control_line: 10, ..Limits::default() };
    for (line, good) in [(&b"SUB abcd 1\r\n"[..], true), (b"SUB abcde 1\r\n", false)] {
        for cut in 0..line.len() {
            let mut decoder = Decoder::new(limits);
            let (first, second) = line.split_at(cut);
            decoder.push(first);
            let early = decoder.next_client_op();
            decoder.push(second);
            let passed = early.is_ok() && matches!(decoder.next_client_op(), Ok(Some(_)));
            assert_eq!(passed, good, "cut at {cut} of {line:?}");
        }
    }
}

#[test]
fn payloads_are_slices_of_the_receive_buffer() {
    let mut decoder = Decoder::new(Limits::default());
    decoder.push(b"PUB a 5\r\nhello\r\n");
    let range = decoder.buffer_mut().as_ptr_range();
    let Ok(Some(ClientOp::Publish(publish))) = decoder.next_client_op() else { panic!() };
    assert!(range.contains(&publish.payload.as_ptr()));
}

#[test]
fn headers_keep_case_order_and_several_values() {
    let block = Bytes::from_static(
        b"NATS/1.0 100  Idle Heartbeat \r\nB: 1\r\na:2\r\nB:\t3 \r\nEmpty:\r\nC: x:y\r\n\r\n",
    );
    let map = HeaderMap::decode(&block).unwrap();
    let status = map.status().unwrap();
    assert_eq!((status.code, status.description.as_str()), (100, "Idle Heartbeat"));
    let entries: Vec<_> = map.iter().collect();
    assert_eq!(entries, [("B", "1"), ("a", "2"), ("B", "3"), ("Empty", ""), ("C", "x:y")]);
    assert_eq!(map.get_all("B").collect::<Vec<_>>(), ["1", "3"]);
    assert_eq!((map.get("b"), map.get_any_case("b")), (None, Some("1")));
}

#[test]
fn headers_that_are_none() {
    for (block, error) in [
        (&b"NATS/1.0\r\n"[..], HeaderError::Line),
        (b"", HeaderError::Line),
        (b"NATS/2.0\r\n\r\n", HeaderError::Version),
        (b"NATS/1.00\r\n\r\n", HeaderError::Version),
        (b"NATS/1.0 50\r\n\r\n", HeaderError::Status),
        (b"NATS/1.0 5031\r\n\r\n", HeaderError::Status),
        (b"NATS/1.0 +50\r\n\r\n", HeaderError::Status),
        (b"NATS/1.0\r\nno colon\r\n\r\n", HeaderError::Line),
        (b"NATS/1.0\r\n: v\r\n\r\n", HeaderError::Name),
        (b"NATS/1.0\r\na b: v\r\n\r\n", HeaderError::Name),
        (b"NATS/1.0\r\n folded: v\r\n\r\n", HeaderError::Name),
        (b"NATS/1.0\r\na: b\nc: d\r\n\r\n", HeaderError::Value),
        (b"NATS/1.0\r\na: b\rc\r\n\r\n", HeaderError::Value),
        (b"NATS/1.0\r\na: \xff\r\n\r\n", HeaderError::Value),
        (b"NATS/1.0\r\n\r\na: b\r\n\r\n", HeaderError::Line),
    ] {
        let got = HeaderMap::decode(&Bytes::from_static(block));
        assert_eq!(got, Err(error), "{:?}", String::from_utf8_lossy(block));
    }
    let mut map = HeaderMap::new();
    assert_eq!(map.append("a", "b\r\nc: d"), Err(HeaderError::Value));
    assert_eq!(map.append("a:b", ""), Err(HeaderError::Name));
    assert_eq!(map.append("", ""), Err(HeaderError::Name));
    for _ in 0..MAX_HEADER_ENTRIES {
        map.append("a", "b").unwrap();
    }
    assert_eq!(map.append("a", "b"), Err(HeaderError::TooMany));
    map.insert("a", "c").unwrap();
    assert_eq!(map.len(), 1);
    assert_eq!(HeaderMap::with_status(99, ""), Err(HeaderError::Status));
}

#[test]
fn nothing_that_would_be_read_as_something_else_is_written() {
    let mut out = BytesMut::new();
    for subject in ["", "a b", "a\r\nPUB b 0", "a\tb", "a\u{7f}"] {
        assert!(encode_pub(&mut out, subject, None, None, b"").is_err(), "{subject:?}");
        assert!(encode_pub(&mut out, "a", Some(subject), None, b"").is_err());
        assert!(encode_sub(&mut out, "a", Some(subject), "1").is_err());
        assert!(encode_unsub(&mut out, subject, None).is_err());
        assert!(encode_msg(&mut out, "a", subject, None, None, b"").is_err());
    }
    assert!(out.is_empty());
    encode_err(&mut out, "it's\r\nso");
    assert_eq!(out, "-ERR 'it s  so'\r\n");
}

#[test]
fn secrets_do_not_show_in_debug() {
    let options = ConnectOptions {
        pass: Some("hidden1".into()),
        auth_token: Some("hidden2".into()),
        ..ConnectOptions::default()
    };
    let shown = format!("{options:?} {:?}", ClientOp::Connect(Box::new(options.clone())));
    assert!(!shown.contains("hidden"), "{shown}");
}

#[test]
fn every_err_text_is_read_back() {
    for kind in ErrKind::ALL {
        assert_eq!(ErrKind::of(kind.as_str()), kind);
        assert_eq!(ErrKind::of(&format!("{} for x", kind.as_str().to_lowercase())), kind);
    }
    assert_eq!(ErrKind::of("é"), ErrKind::Other);
}

fn word() -> impl Strategy<Value = Text> {
    "[!-~]{1,40}".prop_map(Text::from)
}

fn sid() -> impl Strategy<Value = Text> {
    "[!-~]{1,64}".prop_map(Text::from)
}

fn headers() -> impl Strategy<Value = HeaderMap> {
    let status = proptest::option::of((100_u16..1000, "[!-~é]{0,8}"));
    let entries = proptest::collection::vec(("[!-9;-~]{1,12}", "[ -~é\t]{0,20}"), 0..6);
    (status, entries).prop_map(|(status, entries)| {
        let mut map = match status {
            Some((code, text)) => HeaderMap::with_status(code, &text).unwrap(),
            None => HeaderMap::new(),
        };
        for (name, value) in entries {
            map.append(&name, &value).unwrap();
        }
        map
    })
}

fn payload() -> impl Strategy<Value = Bytes> {
    proptest::collection::vec(any::<u8>(), 0..300).prop_map(Bytes::from)
}

fn client_op() -> impl Strategy<Value = ClientOp> {
    prop_oneof![
        Just(ClientOp::Ping),
        Just(ClientOp::Pong),
        (word(), proptest::option::of(word()), proptest::option::of(headers()), payload())
            .prop_map(|(subject, reply, headers, payload)| ClientOp::Publish(Publish {
                subject,
                reply,
                headers,
                payload
            })),
        (word(), proptest::option::of(word()), sid()).prop_map(|(subject, queue, sid)| {
            ClientOp::Subscribe(Subscribe { subject, queue, sid })
        }),
        (sid(), proptest::option::of(any::<u64>()))
            .prop_map(|(sid, max)| ClientOp::Unsubscribe(Unsubscribe { sid, max })),
        (any::<bool>(), proptest::option::of(".{1,20}"), ".{0,20}").prop_map(
            |(verbose, user, lang)| ClientOp::Connect(Box::new(ConnectOptions {
                verbose,
                user,
                lang,
                ..ConnectOptions::default()
            }))
        ),
    ]
}

fn write_client(out: &mut BytesMut, op: &ClientOp) {
    match op {
        ClientOp::Connect(options) => encode_connect(out, options).unwrap(),
        ClientOp::Publish(op) => {
            encode_pub(out, &op.subject, op.reply.as_deref(), op.headers.as_ref(), &op.payload)
                .unwrap();
        }
        ClientOp::Subscribe(op) => {
            encode_sub(out, &op.subject, op.queue.as_deref(), &op.sid).unwrap();
        }
        ClientOp::Unsubscribe(op) => encode_unsub(out, &op.sid, op.max).unwrap(),
        ClientOp::Ping => out.extend_from_slice(PING),
        ClientOp::Pong => out.extend_from_slice(PONG),
    }
}

fn delivery() -> impl Strategy<Value = Delivery> {
    (word(), sid(), proptest::option::of(word()), proptest::option::of(headers()), payload())
        .prop_map(|(subject, sid, reply, headers, payload)| Delivery {
            subject,
            sid,
            reply,
            headers,
            payload,
        })
}

fn pieces<'a>(bytes: &'a [u8], cuts: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
    at.extend([0, bytes.len()]);
    at.sort_unstable();
    at.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect()
}

proptest! {
    #[test]
    fn client_ops_survive_the_wire_in_any_pieces(
        ops in proptest::collection::vec(client_op(), 1..8),
        cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let mut wire = BytesMut::new();
        for op in &ops {
            write_client(&mut wire, op);
        }
        prop_assert_eq!(client_ops(&pieces(&wire, &cuts)), (ops.clone(), None));
        let bytewise: Vec<&[u8]> = wire.chunks(1).collect();
        prop_assert_eq!(client_ops(&bytewise), (ops, None));
    }

    #[test]
    fn deliveries_survive_the_wire_in_any_pieces(
        deliveries in proptest::collection::vec(delivery(), 1..6),
        cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let mut wire = BytesMut::new();
        for op in &deliveries {
            encode_msg(&mut wire, &op.subject, &op.sid, op.reply.as_deref(), op.headers.as_ref(), &op.payload).unwrap();
        }
        let expected: Vec<_> = deliveries.into_iter().map(ServerOp::Message).collect();
        prop_assert_eq!(server_ops(&pieces(&wire, &cuts)), (expected, None));
    }

    #[test]
    fn broken_streams_break_alike_in_any_pieces(
        ops in proptest::collection::vec(client_op(), 1..4),
        damage in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let mut wire = BytesMut::new();
        for op in &ops {
            write_client(&mut wire, op);
        }
        let at = damage.index(wire.len());
        wire[at] = byte;
        prop_assert_eq!(client_ops(&pieces(&wire, &cuts)), client_ops(&[&wire]));
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = client_ops(&[&bytes]);
        let _ = server_ops(&[&bytes]);
        let _ = HeaderMap::decode(&Bytes::from(bytes));
    }

    #[test]
    fn text_like_the_protocol_never_panics(
        text in "((PUB|HPUB|MSG|HMSG|SUB|UNSUB|INFO|CONNECT|-ERR|NATS/1.0)?[ 0-9a.>:{}'\\r\\n]{0,12}){0,12}"
    ) {
        let _ = client_ops(&[text.as_bytes()]);
        let _ = server_ops(&[text.as_bytes()]);
        let _ = HeaderMap::decode(&Bytes::from(text));
    }

    #[test]
    fn header_size_is_known_before(map in headers()) {
        let mut out = BytesMut::new();
        map.encode(&mut out);
        prop_assert_eq!(out.len(), map.encoded_len());
        prop_assert_eq!(HeaderMap::decode(&out.freeze()), Ok(map));
    }

    #[test]
    fn decimals_are_those_of_the_standard_library(number in any::<usize>()) {
        let mut out = BytesMut::new();
        super::encode::put_decimal(&mut out, number);
        prop_assert_eq!(out, number.to_string());
    }
}
