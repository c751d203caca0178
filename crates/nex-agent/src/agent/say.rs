//! The agent's events.

use nex_protocol::{
    event::{AgentStarted, AgentStopped, CloudEvent, EventBody, WorkloadStarted, WorkloadStopped},
    subject::AgentSubjectKind,
};

use super::Agent;

impl Agent {
    pub(super) fn announce_agent_started(&self) {
        self.announce(AgentStarted { agent_version: crate::VERSION.to_owned() });
    }

    pub(super) fn announce_agent_stopped(&self, code: u8, message: String) {
        self.announce(AgentStopped { message, code: code.into() });
    }

    pub(super) fn announce_workload_started(&self, workload_name: String) {
        self.announce(WorkloadStarted { workload_name, code: 0 });
    }

    pub(super) fn announce_workload_stopped(
        &self,
        workload_name: String,
        code: i32,
        message: String,
    ) {
        let code = code.into();
        self.announce(WorkloadStopped {
            workload_name,
            code,
            message,
            ..WorkloadStopped::default()
        });
    }

    fn announce(&self, body: impl EventBody) {
        let event = CloudEvent::now(self.metadata.id.to_string(), body);
        let subject = self.subject(AgentSubjectKind::Event(event.kind().into()));
        self.outbox.publish(&subject, None, None, &event.encode());
    }
}
