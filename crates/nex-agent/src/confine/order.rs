//! What the agent tells its keeper to run, as bytes: two counts, then NUL-terminated texts, the
//! working directory first, then arguments, then environment.

use std::ffi::{CStr, CString};
use std::os::fd::OwnedFd;

/// Largest order, bytes: what one deploy request can hold, and the kernel's own limit.
pub(super) const MAX_BYTES: usize = 4 << 20;

/// A program to run.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Order {
    pub(super) directory: CString,
    pub(super) arguments: Vec<CString>,
    pub(super) environment: Vec<CString>,
}

/// The descriptors that go with an order.
#[derive(Debug)]
pub(super) struct Descriptors {
    pub(super) program: OwnedFd,
    pub(super) stdout: OwnedFd,
    pub(super) stderr: OwnedFd,
}

impl Order {
    /// `None` if it is larger than [`MAX_BYTES`].
    pub(super) fn encode(&self) -> Option<Vec<u8>> {
        let texts =
            || std::iter::once(&self.directory).chain(&self.arguments).chain(&self.environment);
        let size: usize = texts().map(|text| text.as_bytes_with_nul().len()).sum();
        if size > MAX_BYTES - 8 {
            return None;
        }
        let mut bytes = Vec::with_capacity(8 + size);
        for count in [self.arguments.len(), self.environment.len()] {
            bytes.extend(u32::try_from(count).ok()?.to_le_bytes());
        }
        texts().for_each(|text| bytes.extend_from_slice(text.as_bytes_with_nul()));
        Some(bytes)
    }

    /// `None` if the bytes are no order.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (counts, mut rest) = bytes.split_at_checked(8)?;
        let count = |at: usize| {
            let number = counts.get(at..at + 4)?.try_into().ok()?;
            usize::try_from(u32::from_le_bytes(number)).ok()
        };
        let mut text = || {
            let text = CStr::from_bytes_until_nul(rest).ok()?;
            rest = rest.get(text.count_bytes() + 1..)?;
            Some(text.to_owned())
        };
        let directory = text()?;
        let arguments = (0..count(0)?).map(|_| text()).collect::<Option<_>>()?;
        let environment = (0..count(4)?).map(|_| text()).collect::<Option<_>>()?;
        rest.is_empty().then_some(Self { directory, arguments, environment })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn texts() -> impl Strategy<Value = Vec<CString>> {
        let text =
            prop::collection::vec(1_u8.., 0..40).prop_map(|bytes| CString::new(bytes).unwrap());
        prop::collection::vec(text, 0..20)
    }

    proptest! {
        #[test]
        fn what_was_ordered_is_read(arguments in texts(), environment in texts()) {
            let order = Order { directory: c"/work".to_owned(), arguments, environment };
            let bytes = order.encode().unwrap();
            prop_assert_eq!(Order::decode(&bytes), Some(order));
            prop_assert_eq!(Order::decode(&bytes[..bytes.len() - 1]), None);
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Order::decode(&bytes);
        }
    }

    #[test]
    fn counts_that_lie_are_refused() {
        let mut bytes = Order {
            directory: c"/".to_owned(),
            arguments: vec![c"a".to_owned()],
            environment: Vec::new(),
        }
        .encode()
        .unwrap();
        bytes[0] = 0xff;
        assert_eq!(Order::decode(&bytes), None);
    }

    #[test]
    fn an_order_beyond_the_limit_is_not_made() {
        let long = CString::new(vec![b'x'; MAX_BYTES]).unwrap();
        let order =
            Order { directory: c"/".to_owned(), arguments: vec![long], environment: Vec::new() };
        assert_eq!(order.encode(), None);
    }
}
