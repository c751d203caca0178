//! `poll_oneoff`: sleep, and whether a standard descriptor is ready, which it always is.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use wasmtime::{Caller, Linker};

use super::guest::{Guest, enter, offset};
use super::stdio::open;
use super::{Errno, MODULE, World, now};

/// Most subscriptions of one poll.
const MAX_SUBSCRIPTIONS: u32 = 1024;
/// Sizes of a subscription and of an event.
const SUBSCRIPTION: u32 = 48;
const EVENT: u32 = 32;

const CLOCK: u8 = 0;
const FD_READ: u8 = 1;
const FD_WRITE: u8 = 2;
/// Flag of a clock subscription: the time is a moment and not a span.
const ABSOLUTE: u16 = 1;

/// Something that is waited for.
#[derive(Debug, Clone, Copy)]
struct Awaited {
    userdata: u64,
    kind: u8,
    /// Nanoseconds from now until it comes.
    after: u64,
    errno: i32,
    /// Bytes that can be read.
    ready: u64,
}

pub(super) fn add(linker: &mut Linker<World>) -> wasmtime::Result<()> {
    linker.func_wrap_async(MODULE, "poll_oneoff", poll)?;
    Ok(())
}

fn poll<'a>(
    mut caller: Caller<'a, World>,
    (subscriptions, events, count, occurred): (u32, u32, u32, u32),
) -> Box<dyn Future<Output = wasmtime::Result<i32>> + Send + 'a> {
    Box::new(async move {
        let mut awaited = Vec::new();
        let errno = enter(&mut caller, |guest, world| {
            if !(1..=MAX_SUBSCRIPTIONS).contains(&count) {
                return Err(Errno::Inval);
            }
            for number in 0..count {
                let at = offset(subscriptions, number * SUBSCRIPTION)?;
                awaited.push(read(guest, world, at)?);
            }
            Ok(())
        });
        if errno != 0 {
            return Ok(errno);
        }
        let first = awaited.iter().map(|one| one.after).min().unwrap_or_default();
        if first > 0 {
            let until = Instant::now().checked_add(Duration::from_nanos(first));
            match until {
                // The call's deadline ends a sleep that is too long.
                Some(until) => sleep_until(until).await,
                None => std::future::pending().await,
            }
        }
        awaited.retain(|one| one.after <= first);
        Ok(enter(&mut caller, |guest, _| {
            let mut number = 0;
            for one in &awaited {
                write(guest, offset(events, number * EVENT)?, one)?;
                number += 1;
            }
            guest.put_u32(occurred, number)
        }))
    })
}

fn read(guest: &Guest<'_>, world: &World, at: u32) -> Result<Awaited, Errno> {
    let userdata = guest.u64(at)?;
    let kind = guest.u8(offset(at, 8)?)?;
    let mut awaited = Awaited { userdata, kind, after: 0, errno: 0, ready: 0 };
    match kind {
        CLOCK => {
            let clock = guest.u32(offset(at, 16)?)?;
            let time = guest.u64(offset(at, 24)?)?;
            let flags = guest.u16(offset(at, 40)?)?;
            match now(world, clock) {
                Ok(now) if flags & ABSOLUTE != 0 => awaited.after = time.saturating_sub(now),
                Ok(_) => awaited.after = time,
                Err(errno) => awaited.errno = errno as i32,
            }
        }
        FD_READ | FD_WRITE => {
            let fd = guest.u32(offset(at, 16)?)?;
            if let Err(errno) = open(world, fd) {
                awaited.errno = errno as i32;
            }
            awaited.ready = world.input.len() as u64;
        }
        _ => return Err(Errno::Inval),
    }
    Ok(awaited)
}

fn write(guest: &mut Guest<'_>, at: u32, one: &Awaited) -> Result<(), Errno> {
    let mut event = [0; EVENT as usize];
    let errno = one.errno.to_le_bytes();
    let parts: [(usize, &[u8]); 4] = [
        (0, &one.userdata.to_le_bytes()),
        // Numbers of errors fit two bytes.
        (8, errno.get(..2).unwrap_or_default()),
        (10, &[one.kind]),
        (16, &one.ready.to_le_bytes()),
    ];
    for (place, bytes) in parts {
        if let Some(target) = event.get_mut(place..place + bytes.len()) {
            target.copy_from_slice(bytes);
        }
    }
    guest.put(at, &event)
}
