//! What was measured, as a table and as JSON.

use std::time::Duration;

use nex_protocol::config::ByteSize;
use nex_protocol::subject::Subject;
use serde::Serialize;

use super::statistics::{Latencies, Ratios};
use crate::output::{Table, duration_text};

/// One number of clients with one payload.
pub(super) struct Case {
    pub(super) clients: u16,
    pub(super) payload_bytes: usize,
    pub(super) rounds: u32,
    pub(super) echo: Latencies,
    pub(super) function: Latencies,
    pub(super) ratios: Option<Ratios>,
    /// What the first call that failed said.
    pub(super) first_error: Option<String>,
}

/// All cases side by side; `name` is that of the function.
pub(super) fn table(name: &str, cases: &[Case]) -> Table {
    let mut table = Table::new(&[
        "CLIENTS",
        "PAYLOAD",
        "WHAT",
        "P50",
        "P90",
        "P99",
        "MAX",
        "CALLS/S",
        "ERRORS",
        "P50 RATIO",
        "CALLS/S RATIO",
    ]);
    for case in cases {
        let of_function = |part: fn(&Ratios) -> f64| {
            case.ratios.as_ref().map(|ratios| format!("{:.2}", part(ratios))).unwrap_or_default()
        };
        let function =
            [of_function(|ratios| ratios.p50), of_function(|ratios| ratios.calls_per_second)];
        let echo = ["1.00".to_owned(), "1.00".to_owned()];
        for (what, latencies, ratios) in
            [("NATS echo", &case.echo, echo), (name, &case.function, function)]
        {
            let mut row = vec![
                case.clients.to_string(),
                ByteSize::bytes(case.payload_bytes as u64).to_string(),
                what.to_owned(),
            ];
            let times = [
                latencies.quantile(0.5),
                latencies.quantile(0.9),
                latencies.quantile(0.99),
                latencies.slowest(),
            ];
            row.extend(times.map(|time| {
                if latencies.calls() == 0 { String::new() } else { duration_text(time) }
            }));
            row.push(format!("{:.0}", latencies.per_second()));
            row.push(latencies.errors().to_string());
            row.extend(ratios);
            table.row(row);
        }
    }
    table
}

/// All cases as JSON; `name` is that of the function, if it has one.
pub(super) fn document(name: Option<&str>, subject: &Subject, cases: &[Case]) -> impl Serialize {
    Document {
        function: name.map(str::to_owned),
        subject: subject.clone(),
        cases: cases.iter().map(CaseDocument::of).collect(),
    }
}

#[derive(Serialize)]
struct Document {
    function: Option<String>,
    subject: Subject,
    cases: Vec<CaseDocument>,
}

#[derive(Serialize)]
struct CaseDocument {
    clients: u16,
    payload_bytes: usize,
    rounds: u32,
    echo: Numbers,
    function: Numbers,
    ratio: Option<Ratios>,
    first_error: Option<String>,
}

/// Times in microseconds.
#[derive(Serialize)]
struct Numbers {
    calls: u64,
    errors: u64,
    calls_per_second: f64,
    p50_us: f64,
    p90_us: f64,
    p99_us: f64,
    max_us: f64,
}

impl CaseDocument {
    fn of(case: &Case) -> Self {
        Self {
            clients: case.clients,
            payload_bytes: case.payload_bytes,
            rounds: case.rounds,
            echo: Numbers::of(&case.echo),
            function: Numbers::of(&case.function),
            ratio: case.ratios.map(|ratios| Ratios {
                p50: rounded(ratios.p50),
                calls_per_second: rounded(ratios.calls_per_second),
            }),
            first_error: case.first_error.clone(),
        }
    }
}

impl Numbers {
    fn of(latencies: &Latencies) -> Self {
        let microseconds = |time: Duration| rounded(time.as_secs_f64() * 1e6);
        Self {
            calls: latencies.calls(),
            errors: latencies.errors(),
            calls_per_second: rounded(latencies.per_second()),
            p50_us: microseconds(latencies.quantile(0.5)),
            p90_us: microseconds(latencies.quantile(0.9)),
            p99_us: microseconds(latencies.quantile(0.99)),
            max_us: microseconds(latencies.slowest()),
        }
    }
}

/// To the figures that were measured: three decimals.
fn rounded(number: f64) -> f64 {
    (number * 1e3).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::super::statistics::Rounds;
    use super::*;
    use crate::output::Paint;

    fn measured(microseconds: u64, errors: u64) -> Latencies {
        let mut latencies = Latencies::new();
        (0..100).for_each(|_| latencies.answered(Duration::from_micros(microseconds)));
        (0..errors).for_each(|_| latencies.failed());
        latencies.measured_for(Duration::from_secs(1));
        latencies
    }

    #[test]
    fn every_case_is_a_pair_of_rows() {
        let (echo, function) = (measured(100, 0), measured(250, 2));
        let mut rounds = Rounds::default();
        rounds.add(&echo, &function);
        let case = |payload_bytes, function, ratios| Case {
            clients: 16,
            payload_bytes,
            rounds: 1,
            echo: measured(100, 0),
            function,
            ratios,
            first_error: None,
        };
        let cases = [case(16, function, rounds.ratios()), case(64 << 10, Latencies::new(), None)];
        insta::assert_snapshot!(table("hello", &cases).render(false, Paint::fixed(false)));
        insta::assert_json_snapshot!(document(Some("hello"), &"hello.in".parse().unwrap(), &cases));
    }
}
