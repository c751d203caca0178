//! The compiler with programs that stand for the agent, good and bad.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use nex_protocol::digest::Digest;

use super::*;
use crate::artifact::ArtifactCache;
use crate::config::CompiledCacheConfig;

/// Answers `engine-key`, and counts how often it compiles.
const AGENT: &str = r#"#!/bin/sh
here=$(dirname "$0")
if [ "$1" = engine-key ]; then cat "$here/key"; exit 0; fi
echo once >> "$here/count"
[ -z "$(env | grep -v '^PWD=\|^_=\|^SHLVL=\|^OLDPWD=')" ] || { echo "environment" >&2; exit 2; }
BODY
"#;

const COPY: &str = r#"[ "$2" = javascript-engine ] && { echo engine > "$4"; exit 0; }
cat > "$4""#;

struct Bench {
    dir: tempfile::TempDir,
    cache: ArtifactCache,
}

impl Bench {
    fn new(body: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("agent");
        // Another test that starts a program just then would inherit a file that is open for
        // writing, which cannot be executed: so a process of its own writes it.
        let script = AGENT.replace("BODY", body);
        let written = std::process::Command::new("sh")
            .args(["-c", r#"printf %s "$1" > "$0" && chmod 755 "$0""#])
            .args([path.as_os_str(), OsStr::new(&script)])
            .status();
        assert!(written.unwrap().success());
        fs::write(dir.path().join("key"), "c0ffee00c0ffee00\n").unwrap();
        let cache = ArtifactCache::open(&dir.path().join("artifacts"), 1 << 20, 1 << 20).unwrap();
        Self { dir, cache }
    }

    fn compiler(&self, max_bytes: u64, time: Duration) -> Compiler {
        let config = crate::config::Config::builder().build().unwrap();
        let config = FunctionsConfig {
            compile_timeout: time,
            compiled_cache: CompiledCacheConfig { max_bytes, dir: None },
            ..config.functions.clone()
        };
        Compiler::new(self.dir.path().join("agent"), self.store(), &config)
    }

    fn store(&self) -> PathBuf {
        self.dir.path().join("compiled")
    }

    async fn artifact(&self, content: &'static str) -> ArtifactLease {
        let writer = self.cache.begin(content.len() as u64).await.unwrap();
        writer.write(bytes::Bytes::from_static(content.as_bytes())).await;
        writer.finish(None).await.unwrap()
    }

    fn compilations(&self) -> usize {
        fs::read_to_string(self.dir.path().join("count")).map_or(0, |text| text.lines().count())
    }
}

const PATIENCE: Duration = Duration::from_secs(20);

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn one_compilation_serves_all_who_want_it_now_and_later() {
    let bench = Bench::new(COPY);
    let compiler = bench.compiler(1000, PATIENCE);
    let artifact = bench.artifact("module").await;
    let all = (0..8).map(|_| compiler.module(&artifact));
    let all = futures_util::future::try_join_all(all).await.unwrap();
    assert_eq!(bench.compilations(), 1);
    let path = all[0].path();
    let digest = Digest::of(b"module");
    assert_eq!(path, bench.store().join(format!("c0ffee00c0ffee00/{digest}.cwasm")));
    assert_eq!(fs::read(path).unwrap(), b"module");
    assert_eq!(
        (mode(path), mode(path.parent().unwrap()), mode(&bench.store())),
        (0o444, 0o711, 0o711)
    );
    let next_run = bench.compiler(1000, PATIENCE);
    next_run.module(&artifact).await.unwrap();
    assert_eq!(bench.compilations(), 1);
    // Nothing of its making is left.
    assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
}

#[tokio::test]
async fn the_script_engine_is_compiled_once() {
    let bench = Bench::new(COPY);
    let compiler = bench.compiler(1, PATIENCE);
    let (one, two) = tokio::join!(compiler.script_engine(), compiler.script_engine());
    assert_eq!(fs::read(one.unwrap().path()).unwrap(), b"engine\n");
    assert!(two.unwrap().path().ends_with("javascript-engine.cwasm"));
    bench.compiler(1, PATIENCE).script_engine().await.unwrap();
    assert_eq!(bench.compilations(), 1);
}

#[tokio::test]
async fn what_is_not_in_use_makes_room() {
    let bench = Bench::new(COPY);
    let compiler = bench.compiler(15, PATIENCE);
    let (one, two) = (bench.artifact("one.......").await, bench.artifact("two.......").await);
    let first = compiler.module(&one).await.unwrap();
    assert!(matches!(compiler.module(&two).await, Err(CompileError::Full)));
    let path = first.path().to_owned();
    drop(first);
    compiler.module(&two).await.unwrap();
    assert!(!path.exists());
}

#[tokio::test]
async fn code_of_another_engine_is_removed() {
    let bench = Bench::new(COPY);
    let artifact = bench.artifact("module").await;
    let old = bench.compiler(1000, PATIENCE).module(&artifact).await.unwrap().path().to_owned();
    fs::write(bench.dir.path().join("key"), "0123456789abcdef").unwrap();
    let new = bench.compiler(1000, PATIENCE).module(&artifact).await.unwrap();
    assert!(new.path().exists() && !old.exists());
    assert_eq!(bench.compilations(), 2);
}

#[tokio::test]
async fn what_others_could_have_written_is_not_used() {
    let bench = Bench::new(COPY);
    let artifact = bench.artifact("module").await;
    let path = bench.compiler(1000, PATIENCE).module(&artifact).await.unwrap().path().to_owned();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
    let again = bench.compiler(1000, PATIENCE).module(&artifact).await.unwrap();
    assert_eq!((bench.compilations(), mode(again.path())), (2, 0o444));
    drop(again);
    fs::set_permissions(bench.store(), fs::Permissions::from_mode(0o777)).unwrap();
    let refused = bench.compiler(1000, PATIENCE).module(&artifact).await;
    assert!(matches!(refused, Err(CompileError::Untrusted { .. })));
}

#[tokio::test]
async fn a_bad_module_is_refused_in_the_compilers_words() {
    let bench = Bench::new("echo 'imports what is not there: env.x' >&2; exit 1");
    let artifact = bench.artifact("module").await;
    let refused = bench.compiler(1000, PATIENCE).module(&artifact).await.unwrap_err();
    assert_eq!(refused.to_string(), "imports what is not there: env.x");
}

#[tokio::test]
async fn a_compiler_that_fails_says_how() {
    let bench = Bench::new("echo boom >&2; kill -9 $$");
    let artifact = bench.artifact("module").await;
    let failed = bench.compiler(1000, PATIENCE).module(&artifact).await.unwrap_err();
    assert!(failed.to_string().contains("signal: 9") && failed.to_string().contains("boom"));
    let bench = Bench::new(": nothing is written");
    let artifact = bench.artifact("module").await;
    let failed = bench.compiler(1000, PATIENCE).module(&artifact).await.unwrap_err();
    assert!(matches!(failed, CompileError::Store { .. }), "{failed}");
}

#[tokio::test]
async fn a_compiler_that_does_not_end_is_killed_with_its_children() {
    let bench = Bench::new(r#"setsid sleep 1000 & echo $! > "$here/child"; sleep 1000"#);
    let artifact = bench.artifact("module").await;
    let compiler = bench.compiler(1000, Duration::from_millis(300));
    let late = compiler.module(&artifact).await.unwrap_err();
    assert!(matches!(late, CompileError::Timeout(_)), "{late}");
    let child = fs::read_to_string(bench.dir.path().join("child")).unwrap();
    let stat = fs::read_to_string(format!("/proc/{}/stat", child.trim()));
    assert!(stat.is_err() || stat.unwrap().contains(") Z"), "its child lives");
    assert!(fs::read_dir(bench.store().join("c0ffee00c0ffee00")).unwrap().next().is_none());
}

#[tokio::test]
async fn an_agent_without_an_engine_runs_no_functions() {
    let bench = Bench::new(COPY);
    fs::write(bench.dir.path().join("key"), "usage: nex-agent").unwrap();
    let artifact = bench.artifact("module").await;
    let refused = bench.compiler(1000, PATIENCE).module(&artifact).await.unwrap_err();
    assert!(matches!(refused, CompileError::NoEngine { .. }), "{refused}");
}
