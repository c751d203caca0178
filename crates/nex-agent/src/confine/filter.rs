//! The seccomp program: a decision for every system call number, found by bisection.
//!
//! What is not on the list fails: with "function not implemented" where a C library has another
//! way and takes it then, else with "operation not permitted". The kernel logs what was refused
//! (`audit` or the kernel's own log), as far as its own limits of rate let it.
//!
//! Written as a program of the classic packet filter, `seccomp(2)` and `linux/filter.h`.

use std::io;

use super::kernel;
use super::syscalls::{self, Call, Rule};

/// Offsets in `struct seccomp_data`.
const OFFSET_NUMBER: u32 = 0;
const OFFSET_ARCHITECTURE: u32 = 4;
const OFFSET_ARGUMENTS: u32 = 16;

/// Of the machine that this is built for, from `linux/audit.h`.
const ARCHITECTURE: u32 = if cfg!(target_arch = "x86_64") {
    0xC000_003E
} else if cfg!(target_arch = "aarch64") {
    0xC000_00B7
} else {
    0xC000_00F3
};

/// Numbers from here on are those of the x32 kind of program, which is not taken.
const X32: u32 = 0x4000_0000;

const ALLOW: u32 = libc::SECCOMP_RET_ALLOW;
const KILL: u32 = libc::SECCOMP_RET_KILL_PROCESS;
const DENIED: u32 = libc::SECCOMP_RET_ERRNO | libc::EPERM.cast_unsigned();
const MISSING: u32 = libc::SECCOMP_RET_ERRNO | libc::ENOSYS.cast_unsigned();

/// Namespaces that `clone` could make.
const NEW_NAMESPACES: u32 = (libc::CLONE_NEWUSER
    | libc::CLONE_NEWNS
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWCGROUP)
    .cast_unsigned();

/// What a range of numbers leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Is(u32),
    /// Depends on the arguments.
    Asks(Rule),
}

/// Binds this process and all that come of it, for good. Needs no new privileges to be set.
pub(super) fn install() -> io::Result<()> {
    kernel::install_filter(&program(&syscalls::LIST.concat()))
}

fn program(list: &[Call]) -> Vec<libc::sock_filter> {
    let mut program = vec![
        load(OFFSET_ARCHITECTURE),
        jump(libc::BPF_JEQ, ARCHITECTURE, 1, 0),
        answer(KILL),
        load(OFFSET_NUMBER),
    ];
    program.extend(bisect(&ranges(list)));
    program
}

/// The whole line of numbers, cut where the verdict changes: each range by its first number.
fn ranges(list: &[Call]) -> Vec<(u32, Verdict)> {
    let mut calls: Vec<(u32, Rule)> = list
        .iter()
        .filter_map(|call| Some((u32::try_from(call.number).ok()?, call.rule)))
        .collect();
    calls.sort_unstable_by_key(|(number, _)| *number);
    let last = calls.last().map_or(0, |(number, _)| *number);
    let mut ranges = vec![(0, Verdict::Is(DENIED))];
    let mut push = |from: u32, verdict: Verdict| match ranges.last_mut() {
        Some((start, old)) if *start == from => *old = verdict,
        Some((_, old)) if *old == verdict => {}
        _ => ranges.push((from, verdict)),
    };
    for (number, rule) in calls {
        let verdict = match rule {
            Rule::Allowed => Verdict::Is(ALLOW),
            Rule::Missing => Verdict::Is(MISSING),
            other => Verdict::Asks(other),
        };
        push(number, verdict);
        push(number.saturating_add(1), Verdict::Is(DENIED));
    }
    // Calls newer than this list: a C library that tries one has another way.
    push(last.saturating_add(1), Verdict::Is(MISSING));
    if cfg!(target_arch = "x86_64") {
        push(X32, Verdict::Is(MISSING));
    }
    ranges
}

/// Code that decides among these ranges, the number being loaded.
fn bisect(ranges: &[(u32, Verdict)]) -> Vec<libc::sock_filter> {
    match ranges {
        [] => vec![answer(DENIED)],
        [(_, verdict)] => match verdict {
            Verdict::Is(action) => vec![answer(*action)],
            Verdict::Asks(rule) => ask(*rule),
        },
        _ => {
            let (low, high) = ranges.split_at(ranges.len() / 2);
            let first_high = high.first().map_or(0, |(from, _)| *from);
            let below = bisect(low);
            let mut code = match u8::try_from(below.len()) {
                Ok(length) => vec![jump(libc::BPF_JGE, first_high, length, 0)],
                // Too far for a short jump.
                Err(_) => vec![
                    jump(libc::BPF_JGE, first_high, 0, 1),
                    statement(libc::BPF_JMP | libc::BPF_JA, below.len() as u32),
                ],
            };
            code.extend(below);
            code.extend(bisect(high));
            code
        }
    }
}

/// Code that decides by an argument. Only its lower half is looked at where the kernel takes it
/// for a number of 32 bits.
fn ask(rule: Rule) -> Vec<libc::sock_filter> {
    match rule {
        Rule::Allowed => vec![answer(ALLOW)],
        Rule::Missing => vec![answer(MISSING)],
        Rule::NoNamespaces => vec![
            load(argument(0)),
            jump(libc::BPF_JSET, NEW_NAMESPACES, 0, 1),
            answer(DENIED),
            answer(ALLOW),
        ],
        Rule::OneOf(values) => {
            let mut code = vec![load(argument(0))];
            for value in values {
                code.push(jump(libc::BPF_JEQ, *value, 0, 1));
                code.push(answer(ALLOW));
            }
            code.push(answer(DENIED));
            code
        }
        Rule::SecondIsNot(values) => {
            let mut code = vec![load(argument(1))];
            for value in values {
                code.push(jump(libc::BPF_JEQ, *value, 0, 1));
                code.push(answer(DENIED));
            }
            code.push(answer(ALLOW));
            code
        }
    }
}

/// Where the lower half of an argument is. All machines that Nex knows are little-endian.
const fn argument(index: u32) -> u32 {
    OFFSET_ARGUMENTS + 8 * index
}

fn load(offset: u32) -> libc::sock_filter {
    statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, offset)
}

fn answer(action: u32) -> libc::sock_filter {
    statement(libc::BPF_RET | libc::BPF_K, action)
}

fn statement(code: u32, k: u32) -> libc::sock_filter {
    libc::sock_filter { code: code as u16, jt: 0, jf: 0, k }
}

fn jump(condition: u32, k: u32, yes: u8, no: u8) -> libc::sock_filter {
    let code = libc::BPF_JMP | condition | libc::BPF_K;
    libc::sock_filter { code: code as u16, jt: yes, jf: no, k }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What the kernel does with a program.
    fn run(program: &[libc::sock_filter], number: u32, arguments: [u64; 6]) -> u32 {
        let mut data = Vec::new();
        data.extend(number.to_le_bytes());
        data.extend(ARCHITECTURE.to_le_bytes());
        data.extend(0_u64.to_le_bytes());
        for argument in arguments {
            data.extend(argument.to_le_bytes());
        }
        let (mut at, mut held) = (0, 0_u32);
        loop {
            let step = &program[at];
            at += 1;
            let code = u32::from(step.code);
            let to = |yes: bool| usize::from(if yes { step.jt } else { step.jf });
            match code & 0x07 {
                libc::BPF_LD => {
                    let from = step.k as usize;
                    held = u32::from_le_bytes(data[from..from + 4].try_into().unwrap());
                }
                libc::BPF_RET => return step.k,
                _ => match code & 0xf0 {
                    libc::BPF_JA => at += step.k as usize,
                    libc::BPF_JEQ => at += to(held == step.k),
                    libc::BPF_JGE => at += to(held >= step.k),
                    libc::BPF_JSET => at += to(held & step.k != 0),
                    other => panic!("jump {other:x}"),
                },
            }
        }
    }

    fn verdict(number: libc::c_long, first: u64, second: u64) -> u32 {
        let program = program(&syscalls::LIST.concat());
        run(&program, u32::try_from(number).unwrap(), [first, second, 0, 0, 0, 0])
    }

    #[test]
    fn what_programs_need_is_there_and_what_breaks_out_is_not() {
        for number in [libc::SYS_read, libc::SYS_mmap, libc::SYS_futex, libc::SYS_execve] {
            assert_eq!(verdict(number, 0, 0), ALLOW, "{number}");
        }
        for number in [
            libc::SYS_mount,
            libc::SYS_setns,
            libc::SYS_unshare,
            libc::SYS_ptrace,
            libc::SYS_bpf,
            libc::SYS_keyctl,
            libc::SYS_process_vm_readv,
            libc::SYS_pivot_root,
            libc::SYS_init_module,
            libc::SYS_clock_settime,
        ] {
            assert_eq!(verdict(number, 0, 0), DENIED, "{number}");
        }
        for number in [libc::SYS_clone3, libc::SYS_io_uring_setup] {
            assert_eq!(verdict(number, 0, 0), MISSING, "{number}");
        }
        assert_eq!(verdict(600, 0, 0), MISSING);
        let thread = (libc::CLONE_VM | libc::CLONE_THREAD) as u64;
        assert_eq!(verdict(libc::SYS_clone, thread, 0), ALLOW);
        assert_eq!(verdict(libc::SYS_clone, libc::CLONE_NEWUSER as u64, 0), DENIED);
        assert_eq!(verdict(libc::SYS_socket, libc::AF_INET as u64, 0), ALLOW);
        assert_eq!(verdict(libc::SYS_socket, libc::AF_VSOCK as u64, 0), DENIED);
        assert_eq!(verdict(libc::SYS_ioctl, 0, libc::TIOCSTI as u64), DENIED);
        assert_eq!(verdict(libc::SYS_ioctl, 0, libc::FIONREAD as u64), ALLOW);
    }

    #[test]
    fn the_program_is_of_a_size_that_the_kernel_takes() {
        let length = program(&syscalls::LIST.concat()).len();
        assert!(length < 1024, "{length} steps");
    }

    proptest! {
        /// For any list, a number is allowed exactly if it is on it.
        #[test]
        fn bisection_finds_every_number(
            numbers in prop::collection::btree_set(0_u32..2000, 1..400),
            asked in 0_u32..2100,
        ) {
            let list: Vec<Call> = numbers
                .iter()
                .map(|number| Call {
                    number: (*number).into(),
                    name: "",
                    rule: Rule::Allowed,
                })
                .collect();
            let last = *numbers.iter().next_back().unwrap();
            let expected = match asked {
                _ if numbers.contains(&asked) => ALLOW,
                _ if asked > last => MISSING,
                _ => DENIED,
            };
            prop_assert_eq!(run(&program(&list), asked, [0; 6]), expected);
        }
    }
}
