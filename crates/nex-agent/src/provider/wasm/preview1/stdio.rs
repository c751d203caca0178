//! The three standard descriptors: the payload, the answer, the log.

use wasmtime::{Caller, Linker};

use super::guest::{Guest, enter, offset};
use super::{Errno, MODULE, World};
use crate::provider::wasm::output::TooLarge;

const STDIN: u32 = 0;
const STDOUT: u32 = 1;
const STDERR: u32 = 2;

/// Most buffers of one read or write; what Linux allows, too.
const MAX_BUFFERS: u32 = 1024;
/// Most bytes of one write to the log; the rest is written by the next one. Nobody can stop a
/// host function, so none may take long.
const MAX_LOGGED: u32 = 64 << 10;
/// Size of a buffer's description: pointer and length.
const BUFFER: u32 = 8;

/// The rights to read and to write.
const RIGHT_READ: u64 = 1 << 1;
const RIGHT_WRITE: u64 = 1 << 6;

pub(super) fn add(linker: &mut Linker<World>) -> wasmtime::Result<()> {
    linker.func_wrap(
        MODULE,
        "fd_read",
        |mut caller: Caller<'_, World>, fd: u32, buffers: u32, count: u32, read: u32| {
            enter(&mut caller, |guest, world| fd_read(guest, world, fd, (buffers, count), read))
        },
    )?;
    linker.func_wrap(
        MODULE,
        "fd_write",
        |mut caller: Caller<'_, World>, fd: u32, buffers: u32, count: u32, written: u32| {
            let mut outcome = Ok(());
            let errno = enter(&mut caller, |guest, world| {
                fd_write(guest, world, fd, (buffers, count), written, &mut outcome)
            });
            // Ends the call: whoever writes on and on would have it again and again.
            outcome.map(|()| errno).map_err(wasmtime::Error::from)
        },
    )?;
    linker.func_wrap(MODULE, "fd_close", |mut caller: Caller<'_, World>, fd: u32| {
        enter(&mut caller, |_, world| {
            open(world, fd)?;
            if let Some(closed) = world.closed.get_mut(fd as usize) {
                *closed = true;
            }
            Ok(())
        })
    })?;
    linker.func_wrap(
        MODULE,
        "fd_fdstat_get",
        |mut caller: Caller<'_, World>, fd: u32, to: u32| {
            enter(&mut caller, |guest, world| {
                open(world, fd)?;
                // Type unknown, no flags: a stream that is no terminal.
                guest.put(to, &[0; 24])?;
                guest.put_u64(offset(to, 8)?, if fd == STDIN { RIGHT_READ } else { RIGHT_WRITE })
            })
        },
    )?;
    linker.func_wrap(MODULE, "fd_filestat_get", |mut caller: Caller<'_, World>, fd: u32, to| {
        enter(&mut caller, |guest, world| {
            open(world, fd)?;
            guest.put(to, &[0; 64])
        })
    })?;
    linker.func_wrap(
        MODULE,
        "fd_seek",
        |mut caller: Caller<'_, World>, fd: u32, _offset: u64, _whence: u32, _to: u32| {
            enter(&mut caller, |_, world| open(world, fd).and(Err(Errno::Spipe)))
        },
    )?;
    linker.func_wrap(MODULE, "fd_tell", |mut caller: Caller<'_, World>, fd: u32, _to: u32| {
        enter(&mut caller, |_, world| open(world, fd).and(Err(Errno::Spipe)))
    })?;
    linker.func_wrap(
        MODULE,
        "fd_fdstat_set_flags",
        |mut caller: Caller<'_, World>, fd: u32, _flags: u32| {
            enter(&mut caller, |_, world| open(world, fd))
        },
    )?;
    for name in ["fd_sync", "fd_datasync"] {
        linker.func_wrap(MODULE, name, |mut caller: Caller<'_, World>, fd: u32| {
            enter(&mut caller, |_, world| open(world, fd))
        })?;
    }
    Ok(())
}

/// Whether a descriptor is one of the three, and not closed.
pub(super) fn open(world: &World, fd: u32) -> Result<(), Errno> {
    match world.closed.get(fd as usize) {
        Some(false) => Ok(()),
        Some(true) | None => Err(Errno::Badf),
    }
}

fn each_buffer(
    guest: &mut Guest<'_>,
    (buffers, count): (u32, u32),
    mut run: impl FnMut(&mut Guest<'_>, u32, u32) -> Result<bool, Errno>,
) -> Result<(), Errno> {
    if count > MAX_BUFFERS {
        return Err(Errno::Inval);
    }
    for number in 0..count {
        let buffer = offset(buffers, number * BUFFER)?;
        let (at, length) = (guest.u32(buffer)?, guest.u32(offset(buffer, 4)?)?);
        if !run(guest, at, length)? {
            break;
        }
    }
    Ok(())
}

fn fd_read(
    guest: &mut Guest<'_>,
    world: &mut World,
    fd: u32,
    buffers: (u32, u32),
    read: u32,
) -> Result<(), Errno> {
    open(world, fd)?;
    if fd != STDIN {
        return Err(Errno::Badf);
    }
    let before = world.input.len();
    each_buffer(guest, buffers, |guest, at, length| {
        let target = guest.slice_mut(at, length)?;
        let taken = world.input.split_to(target.len().min(world.input.len()));
        if let Some(target) = target.get_mut(..taken.len()) {
            target.copy_from_slice(&taken);
        }
        Ok(!world.input.is_empty())
    })?;
    let taken = before - world.input.len();
    guest.put_u32(read, u32::try_from(taken).map_err(|_| Errno::Inval)?)
}

fn fd_write(
    guest: &mut Guest<'_>,
    world: &mut World,
    fd: u32,
    buffers: (u32, u32),
    written: u32,
    outcome: &mut Result<(), TooLarge>,
) -> Result<(), Errno> {
    open(world, fd)?;
    if fd != STDOUT && fd != STDERR {
        return Err(Errno::Badf);
    }
    let mut total = 0_u32;
    each_buffer(guest, buffers, |guest, at, length| {
        if fd == STDERR {
            let taken = length.min(MAX_LOGGED - total);
            world.output.write_error(guest.slice(at, taken)?);
            total += taken;
            return Ok(taken == length);
        }
        if let Err(too_large) = world.output.write(guest.slice(at, length)?) {
            *outcome = Err(too_large);
            return Ok(false);
        }
        total = total.saturating_add(length);
        Ok(true)
    })?;
    guest.put_u32(written, total)
}
