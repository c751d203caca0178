//! Who may call now, who waits and who is refused: a pure policy.
//!
//! Every function is a lane. A lane has places for calls that run and a short queue for those that
//! wait; the node has places of its own that all lanes share. A call that finds a place in both
//! runs at once. What becomes free goes to the lanes that wait in turn, so that a function that is
//! called far beyond its capacity delays its neighbours by one call and not by its whole queue.
//!
//! There is no clock and no task here: the caller says what time it is and runs what it is given.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

/// A function's lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct LaneId(u64);

/// How much one function may have under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LaneLimits {
    /// Calls that run.
    pub(super) running: u32,
    /// Calls that wait.
    pub(super) waiting: usize,
    /// How long they wait.
    pub(super) patience: Duration,
}

/// How much the node may have under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NodeLimits {
    /// Calls that run.
    pub(super) running: u32,
    /// Bytes of all calls that wait.
    pub(super) waiting_bytes: usize,
}

/// What becomes of a call that arrives.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict<T> {
    /// It has a place, to be given back with [`Admission::leave`].
    Run(T),
    /// It waits. `first`: nobody waited before, so that nobody looks at the clock yet.
    Waits {
        /// Nobody else waits on this node.
        first: bool,
    },
    /// Places and queue are full.
    Refused(T),
}

/// The state of all lanes.
#[derive(Debug)]
pub(super) struct Admission<T> {
    limits: NodeLimits,
    running: u32,
    waiting: usize,
    waiting_bytes: usize,
    issued: u64,
    lanes: HashMap<LaneId, Lane<T>>,
    /// Lanes in which somebody waits, in the order in which they are served next.
    turns: VecDeque<LaneId>,
}

#[derive(Debug)]
struct Lane<T> {
    limits: LaneLimits,
    running: u32,
    queue: VecDeque<Waiting<T>>,
    /// It is among the turns.
    has_turn: bool,
}

#[derive(Debug)]
struct Waiting<T> {
    gives_up: Instant,
    bytes: usize,
    call: T,
}

impl<T> Admission<T> {
    /// No lanes.
    pub(super) fn new(limits: NodeLimits) -> Self {
        Self {
            limits,
            running: 0,
            waiting: 0,
            waiting_bytes: 0,
            issued: 0,
            lanes: HashMap::new(),
            turns: VecDeque::new(),
        }
    }

    /// A new lane.
    pub(super) fn open(&mut self, limits: LaneLimits) -> LaneId {
        self.issued += 1;
        let id = LaneId(self.issued);
        let lane = Lane { limits, running: 0, queue: VecDeque::new(), has_turn: false };
        self.lanes.insert(id, lane);
        id
    }

    /// Ends a lane; whoever waits in it is given back. Calls that run still have to leave.
    pub(super) fn close(&mut self, id: LaneId) -> Vec<T> {
        let waiting = self.clear(id);
        self.lanes.remove(&id);
        self.turns.retain(|turn| *turn != id);
        waiting
    }

    /// Gives back whoever waits in a lane.
    pub(super) fn clear(&mut self, id: LaneId) -> Vec<T> {
        let Some(lane) = self.lanes.get_mut(&id) else { return Vec::new() };
        let queue = std::mem::take(&mut lane.queue);
        self.waiting -= queue.len();
        self.waiting_bytes -= queue.iter().map(|waiting| waiting.bytes).sum::<usize>();
        queue.into_iter().map(|waiting| waiting.call).collect()
    }

    /// A call of so many bytes arrives. In a lane that was closed it is refused.
    pub(super) fn arrive(&mut self, id: LaneId, now: Instant, bytes: usize, call: T) -> Verdict<T> {
        let Some(lane) = self.lanes.get_mut(&id) else { return Verdict::Refused(call) };
        // Nobody who could run waits while there are places, so that nobody is overtaken.
        if self.running < self.limits.running
            && lane.running < lane.limits.running
            && lane.queue.is_empty()
        {
            self.running += 1;
            lane.running += 1;
            return Verdict::Run(call);
        }
        let room = self.limits.waiting_bytes.saturating_sub(self.waiting_bytes);
        if lane.queue.len() >= lane.limits.waiting || bytes > room {
            return Verdict::Refused(call);
        }
        lane.queue.push_back(Waiting { gives_up: now + lane.limits.patience, bytes, call });
        self.waiting += 1;
        self.waiting_bytes += bytes;
        if !std::mem::replace(&mut lane.has_turn, true) {
            self.turns.push_back(id);
        }
        Verdict::Waits { first: self.waiting == 1 }
    }

    /// A call that ran is over. Gives the call that takes its place, which is running now.
    pub(super) fn leave(&mut self, id: LaneId) -> Option<T> {
        self.running = self.running.saturating_sub(1);
        if let Some(lane) = self.lanes.get_mut(&id) {
            lane.running = lane.running.saturating_sub(1);
        }
        self.next()
    }

    /// The next call that may run.
    fn next(&mut self) -> Option<T> {
        if self.running >= self.limits.running {
            return None;
        }
        for _ in 0..self.turns.len() {
            let id = self.turns.pop_front()?;
            let Some(lane) = self.lanes.get_mut(&id) else { continue };
            if lane.running >= lane.limits.running && !lane.queue.is_empty() {
                self.turns.push_back(id);
                continue;
            }
            let next = lane.queue.pop_front();
            lane.has_turn = !lane.queue.is_empty();
            if lane.has_turn {
                self.turns.push_back(id);
            }
            // The others of its queue may have given up, which leaves a turn without anybody.
            if let Some(next) = next {
                lane.running += 1;
                self.running += 1;
                self.waiting -= 1;
                self.waiting_bytes -= next.bytes;
                return Some(next.call);
            }
        }
        None
    }

    /// Those who waited too long.
    pub(super) fn expire(&mut self, now: Instant) -> Vec<T> {
        let mut expired = Vec::new();
        for id in &self.turns {
            let Some(lane) = self.lanes.get_mut(id) else { continue };
            while lane.queue.front().is_some_and(|waiting| waiting.gives_up <= now) {
                let Some(waiting) = lane.queue.pop_front() else { break };
                self.waiting -= 1;
                self.waiting_bytes -= waiting.bytes;
                expired.push(waiting.call);
            }
        }
        expired
    }

    /// When the next one gives up; `None` while nobody waits.
    pub(super) fn next_expiry(&self) -> Option<Instant> {
        let fronts = self.turns.iter().filter_map(|id| self.lanes.get(id)?.queue.front());
        fronts.map(|waiting| waiting.gives_up).min()
    }
}

#[cfg(test)]
mod tests;
