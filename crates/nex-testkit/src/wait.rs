//! Waiting on values: a test goes on as soon as what it waits for is true.

use std::fmt::Display;
use std::future::Future;
use std::time::{Duration, Instant};

/// First pause between two looks; doubled up to [`LAST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LAST_PAUSE: Duration = Duration::from_millis(50);

/// Calls `look` until it gives a value, and returns that value.
///
/// # Panics
/// After `deadline`, naming `what` was waited for.
pub async fn wait_for<T>(
    deadline: Duration,
    what: impl Display,
    mut look: impl FnMut() -> Option<T>,
) -> T {
    wait_for_async(deadline, what, || std::future::ready(look())).await
}

/// Waits until `holds` is true.
///
/// # Panics
/// After `deadline`, naming `what` was waited for.
pub async fn wait_until(deadline: Duration, what: impl Display, mut holds: impl FnMut() -> bool) {
    wait_for(deadline, what, || holds().then_some(())).await;
}

/// [`wait_for`] with a look that is itself asynchronous. A look that hangs
/// counts against the deadline too.
///
/// # Panics
/// After `deadline`, naming `what` was waited for.
pub async fn wait_for_async<T, Look: Future<Output = Option<T>>>(
    deadline: Duration,
    what: impl Display,
    mut look: impl FnMut() -> Look,
) -> T {
    let start = Instant::now();
    let looked = tokio::time::timeout(deadline, async {
        let mut pause = FIRST_PAUSE;
        loop {
            if let Some(value) = look().await {
                return value;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LAST_PAUSE);
        }
    });
    match looked.await {
        Ok(value) => value,
        Err(_) => panic!("waited {:.1?} for {what}: it did not happen", start.elapsed()),
    }
}
