//! What a workload may take, and what is said of one that took more.

use std::time::Duration;

use nex_node::config::SandboxChoice;
use nex_protocol::{
    event::{RawEvent, WorkloadStopped},
    log::LogLine,
};
use nex_testkit::Collector;

use crate::world::{World, compile};

const GREEDY: &str = r#"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
int main(void) {
    for (int i = 0; i < 4096; i++) {
        char *block = malloc(1 << 20);
        if (!block) { usleep(20000); continue; }
        memset(block, i, 1 << 20);
        if (i % 16 == 0) usleep(1000);
    }
    return 0;
}
"#;

/// Eight processes, none of which is too large by itself.
const GREEDY_FAMILY: &str = r#"
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
int main(void) {
    for (int child = 0; child < 8; child++) {
        if (fork() == 0) {
            for (int i = 0; i < 40; i++) memset(malloc(1 << 20), 1, 1 << 20), usleep(5000);
            pause();
        }
    }
    while (wait(0) > 0);
    return 3;
}
"#;

const DYNAMIC: &str = r#"
#include <stdio.h>
#include <math.h>
int main(int argc, char **argv) { printf("dynamic %.0f\n", sqrt(argc * 4.0)); return 0; }
"#;

const BUSY: &str = r#"
#include <stdio.h>
#include <time.h>
int main(void) {
    struct timespec begin, now, used;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    double wall;
    do {
        clock_gettime(CLOCK_MONOTONIC, &now);
        wall = now.tv_sec - begin.tv_sec + (now.tv_nsec - begin.tv_nsec) / 1e9;
    } while (wall < 1.0);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    printf("uptime %ld\n", begin.tv_sec);
    return 0;
}
"#;

async fn stopped(events: &mut Collector) -> WorkloadStopped {
    let event = events.next().await;
    RawEvent::decode(&event.payload).unwrap().data_as().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_takes_too_much_memory_is_ended_and_it_is_said() {
    if !crate::world::has_namespaces() {
        return;
    }
    let world = World::with(|config| config.sandbox(SandboxChoice::Namespace).memory_mib(64)).await;
    let nats = world.nats.client().await;
    let mut events = Collector::new(&nats, "$NEX.events.default.workload_stopped").await;
    for (name, source) in [("greedy", GREEDY), ("family", GREEDY_FAMILY)] {
        let program = compile(world.dir.path(), name, source);
        world.run(world.service(name, &program).await).await;
        let stopped = stopped(&mut events).await;
        assert_eq!(stopped.message, "out of memory, limit 64 MiB", "{name}: {stopped:?}");
        assert_ne!(stopped.code, 0, "{name}");
    }
    let well = compile(world.dir.path(), "well", "int main(void) { return 0; }");
    world.run(world.service("well", &well).await).await;
    assert_eq!(stopped(&mut events).await.code, 0);
    assert!(world.end().await.clean);
}

#[tokio::test(flavor = "multi_thread")]
async fn dynamic_programs_find_the_hosts_libraries_or_are_told() {
    let Some(world) = super::world().await else { return };
    let program = crate::world::compile_with(world.dir.path(), "dynamic", DYNAMIC, &["-lm"]);
    let nats = world.nats.client().await;
    let mut logs = Collector::new(&nats, "$NEX.logs.default.*.dynamic.*").await;
    world.run(world.service("dynamic", &program).await).await;
    let line = logs.next().await;
    assert_eq!(LogLine::decode(&line.payload).unwrap().text.trim_end(), "dynamic 2");
    assert!(world.end().await.clean);

    let bare =
        World::with(|config| config.sandbox(SandboxChoice::Namespace).host_libraries(false)).await;
    let error = bare.deploy(bare.service("dynamic", &program).await).await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains("link it statically") && text.contains("namespace.rootfs"), "{text}");
    assert!(bare.end().await.clean);
}

#[tokio::test(flavor = "multi_thread")]
async fn how_long_the_host_has_run_is_not_told() {
    let Some(world) = super::world().await else { return };
    let program = compile(world.dir.path(), "busy", BUSY);
    let nats = world.nats.client().await;
    let mut logs = Collector::new(&nats, "$NEX.logs.default.*.busy.*").await;
    world.run(world.service("busy", &program).await).await;
    let line = LogLine::decode(&logs.next().await.payload).unwrap().text;
    let uptime: u64 = line.trim().strip_prefix("uptime ").unwrap().parse().unwrap();
    assert!(Duration::from_secs(uptime) < Duration::from_secs(60), "{line}");
    assert!(world.end().await.clean);
}
