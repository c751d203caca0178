//! What the engine may call: the imports of the module, as `nex_quickjs` documents them. The guest
//! is hostile: every number it gives is checked, and what it can make the host hold or do at once is
//! bounded.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use nex_protocol::agent::AgentLevel;
use nex_quickjs::{clock, import, input};
use tokio::time::Instant;
use wasmtime::{Caller, Engine, Linker};

use super::digest::{Algorithm, MAX_DIGEST_BYTES};
use super::memory::{Violation, bytes, bytes_mut, place, split, text};
use super::services;
use super::state::{Outcome, State, TimedOut};
use super::url;

/// Longest text of a failure that is kept.
const MAX_FAILURE_BYTES: usize = 16 << 10;
/// Longest line of the log; longer ones are cut.
const MAX_LOG_BYTES: usize = 32 << 10;
/// Most random bytes at once.
const MAX_RANDOM_BYTES: i32 = 64 << 10;
/// Longest URL that is parsed, and longest part of one that is set.
const MAX_URL_BYTES: usize = 64 << 10;
/// How much is hashed before other calls get a turn.
const DIGEST_STRIDE: usize = 256 << 10;

/// All imports.
pub(super) fn linker(engine: &Engine) -> wasmtime::Result<Linker<State>> {
    let mut linker = Linker::new(engine);
    let module = import::MODULE;
    linker
        .func_wrap(module, import::READ, read)?
        .func_wrap(module, import::ANSWER, answer)?
        .func_wrap(module, import::FAIL, fail)?
        .func_wrap(module, import::LOG, log)?
        .func_wrap(module, import::RANDOM, random)?
        .func_wrap(module, import::CLOCK, time)?
        .func_wrap(module, import::URL, parse_url)?
        .func_wrap_async(module, import::SLEEP, |caller, (milliseconds,): (f64,)| {
            Box::new(sleep(caller, milliseconds))
        })?
        .func_wrap_async(module, import::SERVICE, |caller, arguments| {
            Box::new(service(caller, arguments))
        })?
        .func_wrap_async(module, import::DIGEST, |caller, arguments| {
            Box::new(digest(caller, arguments))
        })?;
    Ok(linker)
}

fn read(
    mut caller: Caller<'_, State>,
    what: i32,
    index: i32,
    to: i32,
    size: i32,
) -> wasmtime::Result<i32> {
    let (memory, state) = split(&mut caller)?;
    // Two inputs are made when they are asked for.
    let made: String;
    let input: &[u8] = match what {
        input::SUBJECT => state.subject.as_bytes(),
        input::PAYLOAD => &state.payload,
        input::REPLY => state.reply.as_deref().unwrap_or_default().as_bytes(),
        input::HEADERS => {
            let pairs: Vec<(&str, &str)> = state.headers.iter().collect();
            made = serde_json::to_string(&pairs)?;
            made.as_bytes()
        }
        input::ENVIRONMENT => state.environment.as_bytes(),
        input::SCRIPT => &state.script,
        input::URL => state.url.as_bytes(),
        input::PART => {
            let part = usize::try_from(index).ok().and_then(|index| state.parts.get(index));
            let Some(part) = part else { return Ok(-1) };
            part
        }
        _ => return Ok(-1),
    };
    let copied = input.len().min(place(0, size).end);
    let to = bytes_mut(memory, to, i32::try_from(copied)?)?;
    to.copy_from_slice(input.get(..copied).unwrap_or_default());
    Ok(i32::try_from(input.len())?)
}

fn answer(mut caller: Caller<'_, State>, pointer: i32, size: i32) -> wasmtime::Result<()> {
    let (memory, state) = split(&mut caller)?;
    let bytes = bytes(memory, pointer, size)?;
    state.outcome = Some(if bytes.len() as u64 > state.limits.max_output_bytes {
        Outcome::TooLarge(bytes.len())
    } else {
        Outcome::Answered(Bytes::copy_from_slice(bytes))
    });
    Ok(())
}

fn fail(mut caller: Caller<'_, State>, kind: i32, pointer: i32, size: i32) -> wasmtime::Result<()> {
    let (memory, state) = split(&mut caller)?;
    state.outcome = Some(Outcome::Failed(kind, text(memory, pointer, size, MAX_FAILURE_BYTES)?));
    Ok(())
}

fn log(mut caller: Caller<'_, State>, level: i32, pointer: i32, size: i32) -> wasmtime::Result<()> {
    let (memory, state) = split(&mut caller)?;
    let line = text(memory, pointer, size, MAX_LOG_BYTES)?;
    // A script cannot say that the agent panics.
    let level = AgentLevel::from_wire(level.max(AgentLevel::Error.wire()));
    state.host.log(level, &line);
    Ok(())
}

fn random(mut caller: Caller<'_, State>, pointer: i32, size: i32) -> wasmtime::Result<()> {
    if !(0..=MAX_RANDOM_BYTES).contains(&size) {
        return Err(Violation("too many random bytes at once").into());
    }
    let (memory, _) = split(&mut caller)?;
    super::entropy::fill(bytes_mut(memory, pointer, size)?)?;
    Ok(())
}

#[allow(clippy::needless_pass_by_value, reason = "the form of a host function")]
fn time(caller: Caller<'_, State>, which: i32) -> u64 {
    let state = caller.data();
    let since = |time: SystemTime| time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let time = match which {
        clock::STEADY => state.began.elapsed(),
        clock::DEADLINE => since(state.deadline_on_the_wall()),
        _ => since(SystemTime::now()),
    };
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

fn parse_url(
    mut caller: Caller<'_, State>,
    operation: i32,
    url: i32,
    url_size: i32,
    argument: i32,
    argument_size: i32,
) -> wasmtime::Result<i32> {
    let (memory, state) = split(&mut caller)?;
    let (address, argument) =
        (bytes(memory, url, url_size)?, bytes(memory, argument, argument_size)?);
    if address.len().max(argument.len()) > MAX_URL_BYTES {
        return Ok(-1);
    }
    let parsed = url::parts(
        operation,
        &String::from_utf8_lossy(address),
        &String::from_utf8_lossy(argument),
    );
    let Some(parts) = parsed else { return Ok(-1) };
    state.url = parts;
    Ok(i32::try_from(state.url.len())?)
}

async fn sleep(caller: Caller<'_, State>, milliseconds: f64) -> wasmtime::Result<()> {
    let deadline = caller.data().deadline;
    // Rounded up, so that a timer is due when the guest wakes. What is no sensible number is 0.
    let wait = Duration::from_millis(milliseconds.ceil() as u64);
    let until = Instant::now().checked_add(wait).filter(|until| *until < deadline);
    tokio::time::sleep_until(until.unwrap_or(deadline)).await;
    if until.is_some() { Ok(()) } else { Err(TimedOut.into()) }
}

async fn service(
    mut caller: Caller<'_, State>,
    (service, argument, argument_size, body, body_size): (i32, i32, i32, i32, i32),
) -> wasmtime::Result<i32> {
    let (memory, state) = split(&mut caller)?;
    let argument = bytes(memory, argument, argument_size)?;
    let body = bytes(memory, body, body_size)?;
    let call = services::call(service, argument, body);
    let (host, deadline) = (state.host.clone(), state.deadline);
    state.parts = Vec::new();
    let answer = match call {
        Ok(call) => {
            // The host keeps to the deadline; if it should not, this does.
            let answer = tokio::time::timeout_at(deadline, host.call(call, deadline)).await;
            answer.map_err(|_| TimedOut)?.map_err(|error| error.0)
        }
        Err(text) => Err(text),
    };
    let state = caller.data_mut();
    match answer.and_then(|reply| services::parts(service, reply)) {
        Ok(parts) => {
            state.parts = parts;
            Ok(i32::try_from(state.parts.len())?)
        }
        Err(text) => {
            state.parts = vec![Bytes::from(text)];
            Ok(-1)
        }
    }
}

async fn digest(
    mut caller: Caller<'_, State>,
    (algorithm, pointer, size, to): (i32, i32, i32, i32),
) -> wasmtime::Result<i32> {
    let Some(mut hash) = Algorithm::from_wire(algorithm) else { return Ok(-1) };
    let mut rest = place(pointer, size);
    loop {
        let stride = rest.start..rest.end.min(rest.start.saturating_add(DIGEST_STRIDE));
        let (memory, state) = split(&mut caller)?;
        hash.update(memory.get(stride.clone()).ok_or(Violation("bytes beyond the memory"))?);
        rest.start = stride.end;
        if rest.is_empty() {
            break;
        }
        if Instant::now() >= state.deadline {
            return Err(TimedOut.into());
        }
        tokio::task::yield_now().await;
    }
    let digest = hash.finish();
    let (memory, _) = split(&mut caller)?;
    let size = i32::try_from(digest.len())?;
    bytes_mut(memory, to, MAX_DIGEST_BYTES)?
        .get_mut(..digest.len())
        .ok_or(Violation("a digest beyond its place"))?
        .copy_from_slice(&digest);
    Ok(size)
}
