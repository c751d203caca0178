//! A service that prints as fast as it can.

use std::time::Duration;

use nex_node::config::SandboxChoice;
use nex_protocol::log::{LogLevel, LogLine};
use nex_testkit::{Collector, DEADLINE, process, wait_until};

use crate::world::{World, compile, in_each_sandbox};

in_each_sandbox! {
    a_flood_is_bounded_counted_and_holds_up_nobody,
}

const FLOOD: &str = r#"
#include <string.h>
#include <unistd.h>
int main(void) {
    static char block[64000];
    for (int i = 0; i < 1000; i++) memcpy(block + i * 64, "0123456789012345678901234567890123456789012345678901234567890123", 64), block[i * 64 + 63] = '\n';
    for (;;) if (write(1, block, sizeof block) < 0) return 1;
}
"#;

const TICK: &str = r#"
#include <stdio.h>
#include <unistd.h>
int main(void) {
    for (int i = 0;; i++) { printf("tick %d\n", i); fflush(stdout); usleep(20000); }
}
"#;

async fn a_flood_is_bounded_counted_and_holds_up_nobody(sandbox: SandboxChoice) {
    let world = World::with(|config| config.sandbox(sandbox).log_lines_per_second(200)).await;
    let flood = compile(world.dir.path(), "flood", FLOOD);
    let tick = compile(world.dir.path(), "tick", TICK);
    let nats = world.nats.client().await;
    let mut ticks = Collector::new(&nats, "$NEX.logs.default.*.tick.*").await;
    let mut warnings = Collector::new(&nats, "$NEX.logs.default.*.flood.*").await;
    let flooding = world.run(world.service("flood", &flood).await).await;
    let ticking = world.run(world.service("tick", &tick).await).await;

    let line = |message: &async_nats::Message| LogLine::decode(&message.payload).unwrap();
    warnings
        .find("a count of dropped lines", |message| {
            let line = line(message);
            line.level == LogLevel::WARN && line.text.contains("dropped")
        })
        .await;
    // The neighbour's lines come through, in order, while the flood goes on.
    let mut last = None;
    for _ in 0..50 {
        let text = line(&ticks.next().await).text;
        let number: u32 = text.trim().strip_prefix("tick ").unwrap().parse().unwrap();
        assert!(last.is_none_or(|last| number == last + 1), "after {last:?} came {number}");
        last = Some(number);
    }
    let other = compile(world.dir.path(), "other", "int main(void) { return 0; }");
    world.run(world.service("other", &other).await).await;
    world.stop_workload(flooding, "flood").await;
    world.stop_workload(ticking, "tick").await;
    // What was published stays within the limit and one burst of it.
    let published = warnings.until_quiet(Duration::from_millis(300)).await.len();
    assert!(published < 20_000, "{published} lines of a flood were published");
    assert!(world.end().await.clean);
    let own = std::process::id();
    wait_until(DEADLINE, "no zombie to be left", || process::count_zombies(own) == 0).await;
}
