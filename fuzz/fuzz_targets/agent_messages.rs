//! Messages between a node and an agent, in both directions.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nex_protocol::agent::{
    AgentDeployRequest, AgentLog, DeployResponse, Handshake, MachineMetadata,
};

fuzz_target!(|data: &[u8]| {
    if let Ok(read) = AgentDeployRequest::decode(data) {
        assert_eq!(AgentDeployRequest::decode(&read.encode()).expect("ours"), read);
    }
    if let Ok(read) = AgentLog::decode(data) {
        assert_eq!(AgentLog::decode(&read.encode()).expect("ours"), read);
    }
    if let Ok(read) = Handshake::decode(data) {
        assert_eq!(Handshake::decode(&read.encode()).expect("ours"), read);
    }
    if let Ok(read) = MachineMetadata::decode(data) {
        assert_eq!(MachineMetadata::decode(&read.encode()).expect("ours"), read);
    }
    if let Ok(read) = DeployResponse::decode(data) {
        let again = DeployResponse::decode(&read.encode()).expect("ours");
        assert_eq!(again.refusal(), read.refusal());
    }
});
