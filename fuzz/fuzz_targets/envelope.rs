//! Replies of nodes, as clients read them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nex_protocol::control::{
    InfoResponse, LameDuckResponse, PingResponse, RunResponse, StopResponse, WorkloadPingResponse,
};
use nex_protocol::envelope::{Envelope, MessageType};
use serde::Serialize;
use serde::de::DeserializeOwned;

fn round_trip<T>(data: &[u8])
where
    T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug,
{
    if let Ok(read) = Envelope::decode::<T>(data) {
        let written = Envelope::encode_success(MessageType::Info, &read);
        assert_eq!(Envelope::decode::<T>(&written).expect("ours"), read);
    }
}

fuzz_target!(|data: &[u8]| {
    round_trip::<InfoResponse>(data);
    round_trip::<LameDuckResponse>(data);
    round_trip::<PingResponse>(data);
    round_trip::<RunResponse>(data);
    round_trip::<StopResponse>(data);
    round_trip::<WorkloadPingResponse>(data);
});
