//! The NATS client protocol in both directions: no panic, and where the stream is cut makes no
//! difference.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use nex_protocol::nats::{Decoder, HeaderMap, Limits};

fn read<T: std::fmt::Debug>(
    pieces: &[&[u8]],
    next: impl Fn(&mut Decoder) -> Result<Option<T>, nex_protocol::nats::DecodeError>,
) -> (Vec<String>, Option<String>) {
    let mut decoder = Decoder::new(Limits { max_payload: 4096, ..Limits::default() });
    let mut ops = Vec::new();
    for piece in pieces {
        decoder.push(piece);
        loop {
            match next(&mut decoder) {
                Ok(Some(op)) => ops.push(format!("{op:?}")),
                Ok(None) => break,
                Err(error) => return (ops, Some(error.to_string())),
            }
        }
    }
    (ops, None)
}

fuzz_target!(|data: &[u8]| {
    let Some((cut, data)) = data.split_first() else { return };
    let pieces: Vec<&[u8]> = data.chunks(usize::from(*cut).max(1)).collect();
    let whole = read(&[data], Decoder::next_client_op);
    assert_eq!(whole, read(&pieces, Decoder::next_client_op));
    let whole = read(&[data], Decoder::next_server_op);
    assert_eq!(whole, read(&pieces, Decoder::next_server_op));
    if let Ok(map) = HeaderMap::decode(&Bytes::copy_from_slice(data)) {
        let mut out = bytes::BytesMut::new();
        map.encode(&mut out);
        assert_eq!(out.len(), map.encoded_len());
        assert_eq!(HeaderMap::decode(&out.freeze()), Ok(map));
    }
});
