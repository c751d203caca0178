//! Whatever happens in whatever order: bounds hold, every call has one fate, and nobody waits while
//! there is a place.

use std::collections::{HashMap, VecDeque};

use proptest::prelude::*;

use super::*;

const PATIENCE: Duration = Duration::from_millis(100);

fn lane(running: u32, waiting: usize) -> LaneLimits {
    LaneLimits { running, waiting, patience: PATIENCE }
}

fn node(running: u32) -> NodeLimits {
    NodeLimits { running, waiting_bytes: 1000 }
}

#[test]
fn places_then_queue_then_refusal() {
    let now = Instant::now();
    let mut all = Admission::new(node(10));
    let id = all.open(lane(1, 2));
    assert_eq!(all.arrive(id, now, 1, 'a'), Verdict::Run('a'));
    assert_eq!(all.arrive(id, now, 1, 'b'), Verdict::Waits { first: true });
    assert_eq!(all.arrive(id, now, 1, 'c'), Verdict::Waits { first: false });
    assert_eq!(all.arrive(id, now, 1, 'd'), Verdict::Refused('d'));
    assert_eq!(all.leave(id), Some('b'));
    assert_eq!(all.leave(id), Some('c'));
    assert_eq!(all.leave(id), None);
    assert_eq!(all.arrive(id, now, 1, 'e'), Verdict::Run('e'));
}

#[test]
fn a_loud_function_delays_its_neighbour_by_one_call() {
    let now = Instant::now();
    let mut all = Admission::new(node(1));
    let (loud, quiet) = (all.open(lane(1, 10)), all.open(lane(1, 10)));
    for _ in 0..8 {
        all.arrive(loud, now, 1, "loud");
    }
    assert_eq!(all.arrive(quiet, now, 1, "quiet"), Verdict::Waits { first: false });
    assert_eq!(all.leave(loud), Some("loud"));
    assert_eq!(all.leave(loud), Some("quiet"));
}

#[test]
fn who_waits_gives_up_and_what_is_too_much_does_not_wait() {
    let now = Instant::now();
    let mut all = Admission::new(node(1));
    let id = all.open(lane(1, 10));
    all.arrive(id, now, 1, 0);
    assert_eq!(all.next_expiry(), None);
    assert_eq!(all.arrive(id, now, 600, 1), Verdict::Waits { first: true });
    assert_eq!(all.arrive(id, now, 600, 2), Verdict::Refused(2));
    assert_eq!(all.next_expiry(), Some(now + PATIENCE));
    assert!(all.expire(now).is_empty());
    assert_eq!(all.expire(now + PATIENCE), [1]);
    assert_eq!(all.next_expiry(), None);
    assert_eq!(all.arrive(id, now, 600, 3), Verdict::Waits { first: true });
    assert_eq!(all.close(id), [3]);
    assert_eq!(all.arrive(id, now, 1, 4), Verdict::Refused(4));
    assert_eq!(all.leave(id), None);
}

#[derive(Debug, Clone)]
enum Op {
    Arrive(usize, usize),
    Leave(usize),
    Pass(u64),
    Clear(usize),
    Close(usize),
}

const LANES: usize = 4;

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => (0..LANES, 0..400usize).prop_map(|(lane, bytes)| Op::Arrive(lane, bytes)),
        4 => (0..LANES).prop_map(Op::Leave),
        1 => (0..150u64).prop_map(Op::Pass),
        1 => (0..LANES).prop_map(Op::Clear),
        1 => (0..LANES).prop_map(Op::Close),
    ]
}

/// What the policy should know, kept the simple way.
#[derive(Default)]
struct Model {
    running: HashMap<u32, usize>,
    waiting: Vec<VecDeque<(u32, usize)>>,
    closed: [bool; LANES],
}

impl Model {
    fn running_in(&self, lane: usize) -> u32 {
        u32::try_from(self.running.values().filter(|at| **at == lane).count()).unwrap()
    }

    fn bytes(&self) -> usize {
        self.waiting.iter().flatten().map(|(_, bytes)| bytes).sum()
    }

    fn take(&mut self, lane: usize, expected: &[u32]) {
        for call in expected {
            assert_eq!(self.waiting[lane].pop_front().map(|(call, _)| call), Some(*call));
        }
    }
}

proptest! {
    #[test]
    fn every_call_has_one_fate_and_no_place_stays_empty(
        ops in prop::collection::vec(op(), 0..200),
        places in 1..6u32,
        per_lane in prop::array::uniform4((1..4u32, 0..5usize)),
    ) {
        let mut now = Instant::now();
        let mut all = Admission::new(node(places));
        let lanes = per_lane.map(|(running, waiting)| all.open(lane(running, waiting)));
        let mut model = Model { waiting: vec![VecDeque::new(); LANES], ..Model::default() };
        for (call, op) in (0u32..).zip(ops) {
            match op {
                Op::Arrive(at, bytes) => match all.arrive(lanes[at], now, bytes, call) {
                    Verdict::Run(run) => {
                        prop_assert_eq!(run, call);
                        prop_assert!(model.waiting[at].is_empty(), "it overtook somebody");
                        prop_assert!(model.running.insert(call, at).is_none());
                    }
                    Verdict::Waits { first } => {
                        prop_assert_eq!(first, model.waiting.iter().all(VecDeque::is_empty));
                        model.waiting[at].push_back((call, bytes));
                    }
                    Verdict::Refused(refused) => {
                        prop_assert_eq!(refused, call);
                        let full = model.waiting[at].len() >= per_lane[at].1
                            || model.bytes() + bytes > 1000;
                        let busy = model.running.len() >= places as usize
                            || model.running_in(at) >= per_lane[at].0;
                        prop_assert!(model.closed[at] || full && busy, "refused without need");
                    }
                },
                Op::Leave(at) => {
                    let running = model.running.iter().find(|(_, lane)| **lane == at);
                    let Some(call) = running.map(|(call, _)| *call) else { continue };
                    model.running.remove(&call);
                    if let Some(next) = all.leave(lanes[at]) {
                        let from = model.waiting.iter().position(|queue| {
                            queue.front().is_some_and(|(call, _)| *call == next)
                        });
                        let from = from.expect("the first of a queue");
                        model.waiting[from].pop_front();
                        model.running.insert(next, from);
                    }
                }
                Op::Pass(ms) => {
                    now += Duration::from_millis(ms);
                    for expired in all.expire(now) {
                        let from = model.waiting.iter().position(|queue| {
                            queue.front().is_some_and(|(call, _)| *call == expired)
                        });
                        model.waiting[from.expect("the first of a queue")].pop_front();
                    }
                    prop_assert!(all.next_expiry().is_none_or(|expiry| expiry > now));
                }
                Op::Clear(at) => model.take(at, &all.clear(lanes[at])),
                Op::Close(at) => {
                    model.take(at, &all.close(lanes[at]));
                    model.closed[at] = true;
                }
            }
            prop_assert!(model.running.len() <= places as usize);
            for (at, (running, waiting)) in per_lane.iter().enumerate() {
                prop_assert!(model.waiting[at].len() <= *waiting);
                prop_assert!(model.running_in(at) <= *running);
                let room = model.running.len() < places as usize
                    && model.running_in(at) < *running;
                prop_assert!(!room || model.waiting[at].is_empty(), "waits beside a free place");
            }
            prop_assert!(model.bytes() <= 1000);
            prop_assert_eq!(all.waiting, model.waiting.iter().map(VecDeque::len).sum::<usize>());
            prop_assert_eq!(all.waiting_bytes, model.bytes());
        }
    }
}
