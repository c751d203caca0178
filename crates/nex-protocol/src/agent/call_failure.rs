//! Why the call of a function failed, as a number that travels in headers: from the agent to the
//! node as `x-nex-error-code`, and from the node to the caller as `Nats-Service-Error-Code` of NATS
//! micro, beside a text.

use std::fmt;
use std::str::FromStr;

/// Why a call failed. The numbers are those of HTTP with the nearest meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CallFailure {
    /// The message cannot be given to the function, such as one that is too large for the bus.
    Unacceptable,
    /// The function's or the node's places are taken and so is the short queue for them. Nothing
    /// ran: it is safe to call again.
    Busy,
    /// The function ended with an exception, a trap or an exit code other than 0.
    Failed,
    /// The function answered with more than it may.
    OutputTooLarge,
    /// The function is being stopped or its sandbox is lost. The call may have run.
    Unavailable,
    /// The function did not answer within its time.
    Timeout,
    /// The function wanted more memory than it may have.
    OutOfMemory,
}

/// A number that is no [`CallFailure`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("unknown error code of a function call")]
pub struct UnknownCallFailure;

impl CallFailure {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Unacceptable,
        Self::Busy,
        Self::Failed,
        Self::OutputTooLarge,
        Self::Unavailable,
        Self::Timeout,
        Self::OutOfMemory,
    ];

    /// The number.
    #[must_use]
    pub const fn code(self) -> u16 {
        match self {
            Self::Unacceptable => 400,
            Self::Busy => 429,
            Self::Failed => 500,
            Self::OutputTooLarge => 502,
            Self::Unavailable => 503,
            Self::Timeout => 504,
            Self::OutOfMemory => 507,
        }
    }
}

impl fmt::Display for CallFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.code().fmt(f)
    }
}

impl FromStr for CallFailure {
    type Err = UnknownCallFailure;

    fn from_str(text: &str) -> Result<Self, UnknownCallFailure> {
        let code: u16 = text.parse().map_err(|_| UnknownCallFailure)?;
        Self::ALL.into_iter().find(|failure| failure.code() == code).ok_or(UnknownCallFailure)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_back() {
        for failure in CallFailure::ALL {
            assert_eq!(failure.to_string().parse(), Ok(failure));
        }
        for other in ["", "0", "200", "-500", "500x", "99999999999"] {
            assert_eq!(other.parse::<CallFailure>(), Err(UnknownCallFailure), "{other}");
        }
    }
}
