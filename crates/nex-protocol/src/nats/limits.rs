//! How large things from a peer may be.

/// Bounds that a [`Decoder`](super::Decoder) enforces before it sets memory aside.
///
/// All sizes are bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Longest control line, without its CR LF. The same for `CONNECT`, as in nats-server.
    pub max_control_line: usize,
    /// Longest `INFO` line; servers list all their cluster's addresses in it.
    pub max_info_line: usize,
    /// Largest message: header block and payload together, which is how nats-server counts it.
    pub max_payload: usize,
    /// Largest header block.
    pub max_headers: usize,
    /// Longest subject, reply subject or queue name.
    pub max_subject: usize,
}

impl Limits {
    /// nats-server's own control line limit.
    pub const DEFAULT_CONTROL_LINE: usize = 4096;
    /// nats-server's default message size.
    pub const DEFAULT_PAYLOAD: usize = 1024 * 1024;
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_control_line: Self::DEFAULT_CONTROL_LINE,
            max_info_line: 64 * 1024,
            max_payload: Self::DEFAULT_PAYLOAD,
            max_headers: 64 * 1024,
            max_subject: 1024,
        }
    }
}
