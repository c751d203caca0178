//! The host functions of WASI preview 1, as far as a function needs them: the three standard
//! descriptors, arguments, environment, clocks, sleep, random numbers, exit. Of everything else
//! there is nothing, which it says: a descriptor that does not exist.
//!
//! Our own and not wasmtime's, which stand on those of WASI 0.2: this way a call costs a few
//! microseconds less, and reads its payload and writes its answer without a copy in between.
//!
//! Pointers and lengths come from the guest and may be anything; [`Guest`] checks each.
//!
//! Source: `wasi_snapshot_preview1.witx` of the WASI repository.

mod guest;
mod poll;
mod stdio;

use std::time::SystemTime;

use rustix::rand::{GetRandomFlags, getrandom};
use wasmtime::{Caller, Engine, FuncType, Linker, Val, ValType};

use super::module::World;
use super::outcome::Exit;
use guest::{Guest, enter};

/// The module that the functions are imported from.
pub(super) const MODULE: &str = "wasi_snapshot_preview1";

/// Most random bytes that are made between two looks at the time.
const RANDOM_PORTION: usize = 64 << 10;

/// What a host function answers when it does not do what it was asked for. The numbers are the
/// protocol's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
enum Errno {
    /// No such descriptor.
    Badf = 8,
    /// A pointer outside of memory.
    Fault = 21,
    /// An argument that makes no sense.
    Inval = 28,
    /// The system has none to give.
    Io = 29,
    /// Not here.
    Nosys = 52,
    /// A stream cannot be moved in.
    Spipe = 70,
}

/// Functions on descriptors that are never open, with their parameters: `i` is 32 and `I` 64 bits.
const NEVER_OPEN: [(&str, &str); 25] = [
    ("fd_advise", "iIIi"),
    ("fd_allocate", "iII"),
    ("fd_filestat_set_size", "iI"),
    ("fd_filestat_set_times", "iIIi"),
    ("fd_pread", "iiiIi"),
    ("fd_prestat_dir_name", "iii"),
    ("fd_prestat_get", "ii"),
    ("fd_pwrite", "iiiIi"),
    ("fd_readdir", "iiiIi"),
    ("fd_renumber", "ii"),
    ("path_create_directory", "iii"),
    ("path_filestat_get", "iiiii"),
    ("path_filestat_set_times", "iiiiIIi"),
    ("path_link", "iiiiiii"),
    ("path_open", "iiiiiIIii"),
    ("path_readlink", "iiiiii"),
    ("path_remove_directory", "iii"),
    ("path_rename", "iiiiii"),
    ("path_symlink", "iiiii"),
    ("path_unlink_file", "iii"),
    ("fd_fdstat_set_rights", "iII"),
    ("sock_accept", "iii"),
    ("sock_recv", "iiiiii"),
    ("sock_send", "iiiii"),
    ("sock_shutdown", "ii"),
];

/// A linker with all of them.
pub(super) fn linker(engine: &Engine) -> wasmtime::Result<Linker<World>> {
    let mut linker = Linker::new(engine);
    stdio::add(&mut linker)?;
    poll::add(&mut linker)?;
    process(&mut linker)?;
    clocks(&mut linker)?;
    linker.func_wrap_async(MODULE, "random_get", random)?;
    for (name, parameters) in NEVER_OPEN {
        let parameters = parameters.chars().map(|letter| match letter {
            'I' => ValType::I64,
            _ => ValType::I32,
        });
        let kind = FuncType::new(engine, parameters, [ValType::I32]);
        linker.func_new(MODULE, name, kind, |_, _, results| {
            if let [result] = results {
                *result = Val::I32(Errno::Badf as i32);
            }
            Ok(())
        })?;
    }
    Ok(linker)
}

fn process(linker: &mut Linker<World>) -> wasmtime::Result<()> {
    linker.func_wrap(MODULE, "args_sizes_get", |mut caller: Caller<'_, World>, count, size| {
        enter(&mut caller, |guest, world| {
            put_sizes(guest, &texts_of(world.arguments()), count, size)
        })
    })?;
    linker.func_wrap(MODULE, "args_get", |mut caller: Caller<'_, World>, list, texts| {
        enter(&mut caller, |guest, world| {
            put_texts(guest, &texts_of(world.arguments()), list, texts)
        })
    })?;
    linker.func_wrap(
        MODULE,
        "environ_sizes_get",
        |mut caller: Caller<'_, World>, count, size| {
            enter(&mut caller, |guest, world| put_sizes(guest, &variables(world), count, size))
        },
    )?;
    linker.func_wrap(MODULE, "environ_get", |mut caller: Caller<'_, World>, list, texts| {
        enter(&mut caller, |guest, world| put_texts(guest, &variables(world), list, texts))
    })?;
    linker.func_wrap(MODULE, "proc_exit", |code: i32| -> wasmtime::Result<()> {
        Err(Exit(code).into())
    })?;
    linker.func_wrap(MODULE, "proc_raise", |_: i32| Errno::Nosys as i32)?;
    linker.func_wrap(MODULE, "sched_yield", || 0_i32)?;
    Ok(())
}

fn texts_of(arguments: [String; 2]) -> Vec<Vec<u8>> {
    arguments.into_iter().map(String::into_bytes).collect()
}

fn variables(world: &mut World) -> Vec<Vec<u8>> {
    let variables = world.environment().iter();
    variables.map(|(name, value)| [name.as_bytes(), b"=", value.as_bytes()].concat()).collect()
}

fn put_sizes(guest: &mut Guest<'_>, texts: &[Vec<u8>], count: u32, size: u32) -> Result<(), Errno> {
    let total: usize = texts.iter().map(|text| text.len() + 1).sum();
    guest.put_u32(count, u32::try_from(texts.len()).map_err(|_| Errno::Inval)?)?;
    guest.put_u32(size, u32::try_from(total).map_err(|_| Errno::Inval)?)
}

/// Writes the texts one after the other, each ended by a NUL, and a list of pointers to them.
fn put_texts(
    guest: &mut Guest<'_>,
    texts: &[Vec<u8>],
    mut list: u32,
    mut at: u32,
) -> Result<(), Errno> {
    for text in texts {
        guest.put_u32(list, at)?;
        guest.put(at, text)?;
        let length = u32::try_from(text.len()).map_err(|_| Errno::Inval)?;
        let end = at.checked_add(length).ok_or(Errno::Fault)?;
        guest.put(end, &[0])?;
        at = end.checked_add(1).ok_or(Errno::Fault)?;
        list = list.checked_add(4).ok_or(Errno::Fault)?;
    }
    Ok(())
}

/// Nanoseconds of a clock: 0 is the time of day, 1 counts from the start of the call; the clocks
/// of processor time are answered with 1.
fn now(world: &World, clock: u32) -> Result<u64, Errno> {
    match clock {
        0 => {
            let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
            since.ok().and_then(|since| u64::try_from(since.as_nanos()).ok()).ok_or(Errno::Io)
        }
        1..=3 => u64::try_from(world.began.elapsed().as_nanos()).map_err(|_| Errno::Io),
        _ => Err(Errno::Inval),
    }
}

fn clocks(linker: &mut Linker<World>) -> wasmtime::Result<()> {
    linker.func_wrap(MODULE, "clock_res_get", |mut caller: Caller<'_, World>, clock, to| {
        enter(&mut caller, |guest, world| {
            now(world, clock)?;
            guest.put_u64(to, 1)
        })
    })?;
    linker.func_wrap(
        MODULE,
        "clock_time_get",
        |mut caller: Caller<'_, World>, clock: u32, _precision: u64, to: u32| {
            enter(&mut caller, |guest, world| {
                let time = now(world, clock)?;
                guest.put_u64(to, time)
            })
        },
    )?;
    Ok(())
}

/// Gives way between portions: nobody else can stop a host function.
fn random<'a>(
    mut caller: Caller<'a, World>,
    (mut at, mut left): (u32, u32),
) -> Box<dyn Future<Output = wasmtime::Result<i32>> + Send + 'a> {
    Box::new(async move {
        loop {
            let portion = left.min(RANDOM_PORTION as u32);
            let errno = enter(&mut caller, |guest, _| {
                let mut target = guest.slice_mut(at, portion)?;
                while !target.is_empty() {
                    let made =
                        getrandom(&mut *target, GetRandomFlags::empty()).map_err(|_| Errno::Io)?;
                    target = target.get_mut(made..).ok_or(Errno::Io)?;
                }
                Ok(())
            });
            // Both fit: the slice was there.
            at = at.wrapping_add(portion);
            left -= portion;
            if errno != 0 || left == 0 {
                return Ok(errno);
            }
            tokio::task::yield_now().await;
        }
    })
}
