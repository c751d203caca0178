//! The life of one sandbox, as a pure step function.
//!
//! ```text
//!            handshake          deploy            accepted
//!  Booting ────────────▶ Warm ─────────▶ Starting ────────▶ Running
//!     │                    │                │ refused          │ stop      │ exited
//!     │ deadline           │ stop           ▼                  ▼           ▼
//!     └────────────────────┴───────────▶ Ending ◀────────── Stopping ──▶ Ending ──▶ Gone
//! ```
//!
//! From every phase: a lost link, an ended agent or a kill leads to `Ending`
//! with the whole tree killed, and from there to `Gone` when the machine is.
//! `Ending` means: the workload is over, the machine is not yet.

/// Where a sandbox is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// The machine was launched, its agent has not said a word.
    Booting,
    /// The agent waits for its one workload.
    Warm,
    /// The agent was given a workload and has not answered.
    Starting,
    /// The workload runs.
    Running,
    /// The agent was told to stop the workload.
    Stopping,
    /// Nothing of the workload is left; the agent is expected to end.
    Ending,
    /// The machine is gone.
    Gone,
}

/// What can happen to a sandbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    /// The agent introduced itself.
    Handshake,
    /// The time limit of the present phase is over.
    Deadline,
    /// The node wants a workload started here.
    Deploy,
    /// The agent runs the workload.
    DeployAccepted,
    /// The agent will not run it, or did not answer.
    DeployRefused,
    /// The agent says that the workload has ended by itself.
    WorkloadEnded,
    /// The node wants the workload, or the idle sandbox, stopped.
    Stop,
    /// The agent says that it has stopped the workload.
    Undeployed,
    /// The agent could not be asked to stop, or did not manage in time.
    UndeployFailed,
    /// The connection to the agent is gone.
    LinkLost,
    /// The machine (for a process: the agent) has ended.
    MachineExited,
    /// Nobody wants this sandbox any more.
    Kill,
}

/// What has to be done about it, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Answer the agent's handshake.
    AcknowledgeHandshake,
    /// Tell the pool that the sandbox can be claimed.
    AnnounceWarm,
    /// Send the workload to the agent.
    SendDeploy,
    /// Tell the deployer that its workload runs.
    AnswerDeployed,
    /// Tell the deployer that it does not.
    AnswerNotDeployed,
    /// Ask the agent to stop the workload.
    SendUndeploy,
    /// Kill the machine and everything in it.
    KillMachine,
    /// Tell whoever asked for a stop that the workload is over.
    AnswerStopped,
    /// Publish the end of the workload; it had been running.
    ReportEnd,
}

/// One step: the next phase and what to do.
pub fn step(phase: Phase, input: Input) -> (Phase, &'static [Effect]) {
    use Effect as E;
    use Input as I;
    use Phase as P;
    match (phase, input) {
        (P::Booting, I::Handshake) => (P::Warm, &[E::AcknowledgeHandshake, E::AnnounceWarm]),
        (P::Booting | P::Warm, I::Deadline | I::LinkLost | I::Kill) => {
            (P::Ending, &[E::KillMachine])
        }
        (P::Booting | P::Warm, I::Stop) => (P::Ending, &[E::KillMachine, E::AnswerStopped]),
        (P::Warm, I::Deploy) => (P::Starting, &[E::SendDeploy]),

        (P::Starting, I::DeployAccepted) => (P::Running, &[E::AnswerDeployed]),
        (P::Starting, I::DeployRefused | I::Deadline | I::LinkLost | I::Kill) => {
            (P::Ending, &[E::AnswerNotDeployed, E::KillMachine])
        }
        (P::Starting, I::Stop) => {
            (P::Ending, &[E::AnswerNotDeployed, E::KillMachine, E::AnswerStopped])
        }
        // A program may be over before the agent's answer is read: it was
        // started, and the deployer is told so.
        (P::Starting, I::WorkloadEnded) => (P::Ending, &[E::AnswerDeployed, E::ReportEnd]),

        (P::Running, I::WorkloadEnded) => (P::Ending, &[E::ReportEnd]),
        (P::Running, I::Stop) => (P::Stopping, &[E::SendUndeploy]),
        (P::Running, I::LinkLost | I::Kill) => (P::Ending, &[E::KillMachine, E::ReportEnd]),

        (P::Stopping, I::Undeployed) => (P::Ending, &[E::ReportEnd, E::AnswerStopped]),
        (P::Stopping, I::UndeployFailed | I::Deadline | I::LinkLost | I::Kill) => {
            (P::Ending, &[E::KillMachine, E::ReportEnd, E::AnswerStopped])
        }

        (P::Ending, I::Stop) => (P::Ending, &[E::AnswerStopped]),
        (P::Ending, I::Deadline | I::Kill) => (P::Ending, &[E::KillMachine]),

        // What a process left behind is killed even when the agent is gone.
        (P::Booting | P::Warm | P::Ending, I::MachineExited) => (P::Gone, &[E::KillMachine]),
        (P::Starting, I::MachineExited) => (P::Gone, &[E::AnswerNotDeployed, E::KillMachine]),
        (P::Running, I::MachineExited) => (P::Gone, &[E::KillMachine, E::ReportEnd]),
        (P::Stopping, I::MachineExited) => {
            (P::Gone, &[E::KillMachine, E::ReportEnd, E::AnswerStopped])
        }

        (P::Gone, I::Stop) => (P::Gone, &[E::AnswerStopped]),
        // A deploy that finds the sandbox anywhere but warm must be answered.
        (_, I::Deploy) => (phase, &[E::AnswerNotDeployed]),
        // The rest is late news about something that was already decided.
        (
            _,
            I::Handshake
            | I::Deadline
            | I::DeployAccepted
            | I::DeployRefused
            | I::WorkloadEnded
            | I::Stop
            | I::Undeployed
            | I::UndeployFailed
            | I::LinkLost
            | I::MachineExited
            | I::Kill,
        ) => (phase, &[]),
    }
}

#[cfg(test)]
mod tests {
    use proptest::{prelude::*, sample::select};

    use super::*;

    const INPUTS: [Input; 12] = [
        Input::Handshake,
        Input::Deadline,
        Input::Deploy,
        Input::DeployAccepted,
        Input::DeployRefused,
        Input::WorkloadEnded,
        Input::Stop,
        Input::Undeployed,
        Input::UndeployFailed,
        Input::LinkLost,
        Input::MachineExited,
        Input::Kill,
    ];

    fn rank(phase: Phase) -> u8 {
        match phase {
            Phase::Booting => 0,
            Phase::Warm => 1,
            Phase::Starting => 2,
            Phase::Running => 3,
            Phase::Stopping => 4,
            Phase::Ending => 5,
            Phase::Gone => 6,
        }
    }

    proptest! {
        /// Whatever happens in whatever order: a life never goes back, a deploy
        /// is sent once, every deploy and every stop is answered, an end is
        /// reported exactly for what had started, and nothing of a machine
        /// survives `Gone`.
        #[test]
        fn every_life_is_orderly(inputs in prop::collection::vec(select(&INPUTS[..]), 0..40)) {
            let mut phase = Phase::Booting;
            let (mut sent, mut deploys, mut answers, mut started, mut ends) = (0, 0, 0, 0, 0);
            let (mut stops, mut stopped) = (0, 0);
            let inputs = inputs.into_iter().chain([Input::Stop, Input::Kill, Input::MachineExited]);
            for input in inputs {
                let (next, effects) = step(phase, input);
                prop_assert!(rank(next) >= rank(phase), "{phase:?} {input:?} {next:?}");
                deploys += i32::from(input == Input::Deploy);
                // One answer serves every stop that waits for it.
                stops = i32::from(input == Input::Stop || stops > 0);
                for effect in effects {
                    match effect {
                        Effect::SendDeploy => sent += 1,
                        Effect::AnswerDeployed => { answers += 1; started += 1; }
                        Effect::AnswerNotDeployed => answers += 1,
                        Effect::ReportEnd => ends += 1,
                        Effect::AnswerStopped => { stops = 0; stopped += 1; }
                        _ => {}
                    }
                }
                if next == Phase::Gone && phase != Phase::Gone {
                    prop_assert!(effects.contains(&Effect::KillMachine));
                }
                phase = next;
            }
            prop_assert_eq!(phase, Phase::Gone);
            prop_assert!(sent <= 1);
            prop_assert_eq!(answers, deploys);
            prop_assert_eq!(ends, started);
            prop_assert_eq!(stops, 0);
            prop_assert!(stopped > 0);
        }
    }
}
