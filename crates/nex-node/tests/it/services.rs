//! Services, from deploy to stop, on a node in this process.

use std::{collections::HashSet, path::Path, time::Duration};

use futures_util::future::join_all;
use nex_node::config::SandboxChoice;
use nex_protocol::{event::RawEvent, log::LogLine};
use nex_testkit::{Collector, DEADLINE, process, wait_until};

use crate::world::{World, compile, in_each_sandbox};

in_each_sandbox! {
    a_service_runs_says_what_it_says_and_ends,
    stop_ends_even_what_ignores_sigterm_and_publishes_once,
    twenty_four_deploys_at_once_with_a_pool_of_one,
    deploys_one_after_the_other_leave_nothing_behind,
    an_essential_service_comes_back_under_its_id,
    a_lame_duck_refuses_work_and_keeps_what_runs,
    a_nats_outage_stops_no_workload_and_control_comes_back,
}

const SLEEPER: &str = r"
#include <unistd.h>
int main(void) { for (;;) pause(); }
";

const STUBBORN: &str = r#"
#include <signal.h>
#include <stdio.h>
#include <unistd.h>
int main(void) {
    signal(SIGTERM, SIG_IGN);
    puts("deaf to SIGTERM");
    fflush(stdout);
    for (;;) pause();
}
"#;

const SHOW: &str = r#"
#include <stdio.h>
#include <stdlib.h>
#include <dirent.h>
#include <unistd.h>
extern char **environ;
int main(int argc, char **argv) {
    for (int i = 0; i < argc; i++) printf("arg %d [%s]\n", i, argv[i]);
    for (char **e = environ; *e; e++) printf("env %s\n", *e);
    int fds = 0;
    DIR *d = opendir("/proc/self/fd");
    while (readdir(d)) fds++;
    printf("fds %d\n", fds - 3);
    printf("leader %d\n", getpgrp() == getpid());
    fprintf(stderr, "to stderr\n");
    puts("done");
    return 7;
}
"#;

fn text(message: &async_nats::Message) -> String {
    LogLine::decode(&message.payload).unwrap().text.trim_end().to_owned()
}

async fn a_service_runs_says_what_it_says_and_ends(sandbox: SandboxChoice) {
    let world = World::of(sandbox).await;
    let show = compile(world.dir.path(), "show", SHOW);
    let nats = world.nats.client().await;
    let mut logs = Collector::new(&nats, "$NEX.logs.>").await;
    let mut events = Collector::new(&nats, "$NEX.events.default.>").await;

    let service = world.service("show", &show).await;
    let service = service
        .description("shows itself")
        .arguments(["two words", "", "x=y"])
        .variable("greeting", "hello world");
    let id = world.run(service).await;

    logs.find("the last line", |line| text(line) == "done").await;
    let lines: Vec<String> = logs.seen().iter().map(text).collect();
    let expected = [
        "arg 0 [show]",
        "arg 1 [two words]",
        "arg 2 []",
        "arg 3 [x=y]",
        "env GREETING=hello world",
        "fds 3",
        "leader 1",
    ];
    let stdout: Vec<&str> =
        lines.iter().map(String::as_str).filter(|line| *line != "to stderr").collect();
    assert_eq!(stdout[..7], expected, "{lines:?}");
    let subject = format!("$NEX.logs.default.{}.show.{id}", world.node.id());
    assert!(logs.seen().iter().all(|line| line.subject.as_str() == subject));

    let stopped =
        events.find("workload_stopped", |event| event.subject.ends_with("workload_stopped")).await;
    let event = RawEvent::decode(&stopped.payload).unwrap();
    let data: nex_protocol::event::WorkloadStopped = event.data_as().unwrap();
    assert_eq!((data.code, data.workload()), (7, "show"));
    assert!(data.message.contains('7'), "{}", data.message);
    assert_eq!(data.reason, None);
    let kinds: Vec<&str> =
        events.seen().iter().map(|event| event.subject.rsplit('.').next().unwrap()).collect();
    assert!(kinds.contains(&"workload_started"), "{kinds:?}");
    let listed = || world.node.workloads().get(id).is_some();
    wait_until(DEADLINE, "the ended workload to leave the list", || !listed()).await;
    assert!(world.end().await.clean);
}

async fn stop_ends_even_what_ignores_sigterm_and_publishes_once(sandbox: SandboxChoice) {
    let world =
        World::with(|config| config.sandbox(sandbox).stop_grace(Duration::from_millis(200))).await;
    let stubborn = compile(world.dir.path(), "stubborn", STUBBORN);
    let nats = world.nats.client().await;
    let mut logs = Collector::new(&nats, "$NEX.logs.>").await;
    let mut events = Collector::new(&nats, "$NEX.events.default.workload_stopped").await;
    let id = world.run(world.service("stubborn", &stubborn).await).await;
    logs.find("its line", |line| text(line) == "deaf to SIGTERM").await;

    world.stop_workload(id, "stubborn").await;
    assert!(world.node.workloads().is_empty());
    let event = RawEvent::decode(&events.next().await.payload).unwrap();
    let data: nex_protocol::event::WorkloadStopped = event.data_as().unwrap();
    assert_eq!(data.reason.as_deref(), Some("Workload shutdown requested"));
    assert_eq!(data.vmid, Some(id.to_string()));
    assert_eq!((data.code, data.workload_name.as_str()), (-1, "stubborn"));
    let all = events.until_quiet(Duration::from_millis(300)).await;
    assert_eq!(all.len(), 1, "one end, one event");
    world.end().await;
}

async fn twenty_four_deploys_at_once_with_a_pool_of_one(sandbox: SandboxChoice) {
    let world = World::of(sandbox).await;
    let sleeper = compile(world.dir.path(), "sleeper", SLEEPER);
    let artifact = world.upload("sleeper", &sleeper).await;
    let deploys = (0..24).map(|n| {
        let name = format!("sleeper-{n}");
        let builder = nex_client::deploy::Workload::builder(
            name.parse().unwrap(),
            nex_protocol::control::WorkloadType::Elf,
            artifact.clone(),
        );
        let world = &world;
        async move { (name, world.run(builder).await) }
    });
    let started = join_all(deploys).await;
    let ids: HashSet<_> = started.iter().map(|(_, id)| *id).collect();
    assert_eq!(ids.len(), 24, "an id was given out twice");
    let snapshot = world.node.workloads();
    for (name, id) in &started {
        let status = snapshot.get(*id).unwrap();
        assert_eq!(status.workload.name.as_str(), name, "an id belongs to another workload");
    }
    join_all(started.iter().map(|(name, id)| world.stop_workload(*id, name))).await;
    assert!(world.node.workloads().is_empty());
    assert!(world.end().await.clean);
}

async fn deploys_one_after_the_other_leave_nothing_behind(sandbox: SandboxChoice) {
    let world = World::of(sandbox).await;
    let sleeper = compile(world.dir.path(), "sleeper", SLEEPER);
    let artifact = world.upload("sleeper", &sleeper).await;
    let own = std::process::id();
    let state = world.dir.path().join("state");
    let once = async || {
        let builder = nex_client::deploy::Workload::builder(
            "sleeper".parse().unwrap(),
            nex_protocol::control::WorkloadType::Elf,
            artifact.clone(),
        );
        let id = world.run(builder).await;
        world.stop_workload(id, "sleeper").await;
    };
    for _ in 0..5 {
        once().await;
    }
    // Other tests run in this process: what is counted is what this node owns.
    let agents = || process::tree(own).into_iter().filter(|pid| belongs_to(*pid, &state)).count();
    world.node.warm().await.unwrap();
    for _ in 0..200 {
        once().await;
    }
    world.node.warm().await.unwrap();
    wait_until(DEADLINE, "only the warm agent to be left", || agents() <= 1).await;
    let folders = || std::fs::read_dir(state.join("sandboxes")).unwrap().count();
    wait_until(DEADLINE, "only the warm sandbox's folder to be left", || folders() <= 1).await;
    let World { node, dir: _dir, .. } = world;
    assert!(node.stop(DEADLINE).await.clean);
    wait_until(DEADLINE, "no agent to be left", || agents() == 0).await;
    assert_eq!(std::fs::read_dir(state.join("sandboxes")).unwrap().count(), 0);
}

fn belongs_to(pid: u32, state: &Path) -> bool {
    std::fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd.starts_with(state))
}

async fn an_essential_service_comes_back_under_its_id(sandbox: SandboxChoice) {
    let world = World::of(sandbox).await;
    let program = compile(
        world.dir.path(),
        "short",
        "#include <stdio.h>\nint main(void) { puts(\"run\"); return 1; }",
    );
    let nats = world.nats.client().await;
    let mut logs = Collector::new(&nats, "$NEX.logs.>").await;
    let id = world.run(world.service("short", &program).await.essential(true)).await;
    for run in 0..3 {
        let line = logs.find(format!("run {run}"), |line| text(line) == "run").await;
        assert!(line.subject.ends_with(id.as_str()));
    }
    world.stop_workload(id, "short").await;
    assert!(world.node.workloads().is_empty());
    assert!(world.end().await.clean);
}

async fn a_lame_duck_refuses_work_and_keeps_what_runs(sandbox: SandboxChoice) {
    let world = World::of(sandbox).await;
    let sleeper = compile(world.dir.path(), "sleeper", SLEEPER);
    let id = world.run(world.service("sleeper", &sleeper).await).await;
    let nats = world.nats.client().await;
    let mut events = Collector::new(&nats, "$NEX.events.system.>").await;
    world.client.lame_duck(world.node.id()).await.unwrap();
    events.find("the event", |event| event.subject.ends_with("node_entered_lameduck")).await;
    let refused = world.deploy(world.service("second", &sleeper).await).await.unwrap_err();
    assert!(refused.to_string().contains("lame duck"), "{refused}");
    let ping = world.client.ping_node(world.node.id()).await.unwrap();
    assert_eq!(ping.tags.get("nex.lameduck").map(String::as_str), Some("true"));
    let unsafe_tag = (sandbox == SandboxChoice::Process).then_some("true");
    assert_eq!(ping.tags.get("nex.unsafe").map(String::as_str), unsafe_tag);
    assert_eq!(ping.running_machines, 1);
    assert!(world.node.workloads().get(id).is_some());
    let report = world.end().await;
    assert!(report.clean);
    assert_eq!(report.workloads, 1);
}

async fn a_nats_outage_stops_no_workload_and_control_comes_back(sandbox: SandboxChoice) {
    let mut world = World::of(sandbox).await;
    let sleeper = compile(world.dir.path(), "sleeper", SLEEPER);
    let id = world.run(world.service("sleeper", &sleeper).await).await;
    world.nats.kill();
    assert!(world.node.workloads().get(id).is_some());
    world.nats.restart().await;
    let node = world.node.id();
    let client = world.client.clone();
    nex_testkit::wait::wait_for_async(DEADLINE, "control after the outage", || async {
        client.ping_node(node).await.ok().filter(|ping| ping.running_machines == 1)
    })
    .await;
    world.stop_workload(id, "sleeper").await;
    assert!(world.end().await.clean);
}
