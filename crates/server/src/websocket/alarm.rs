//! The alarm of one connection, which nearly always is put off before it rings.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use tokio::task::coop::unconstrained;
use tokio::time::Sleep;

/// Wakes a task when its deadline has come. As long as it is set early enough the timer itself is not looked at, for a deadline
/// moves with each message and the timer of a socket that was idle is far from every cache.
#[derive(Debug)]
pub(super) struct Alarm {
    /// What it is set to; it rings then, though the deadline may be later by now.
    set_to: Option<Instant>,
    timer: Pin<Box<Sleep>>,
}

impl Alarm {
    /// Makes one that is not set. There must be a tokio runtime around.
    pub(super) fn new() -> Self {
        Self { set_to: None, timer: Box::pin(tokio::time::sleep_until(Instant::now().into())) }
    }

    /// Whether the deadline has come; otherwise the task is woken when it has, or before. It must be the same task every time.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, deadline: Instant) -> Poll<()> {
        let now = Instant::now();
        if deadline <= now {
            return Poll::Ready(());
        }
        if self.set_to.is_none_or(|set_to| set_to <= now || set_to > deadline) {
            self.timer.as_mut().reset(deadline.into());
            self.set_to = Some(deadline);
            // A task that may do no more in this turn is not woken by its timer, but at once.
            if Pin::new(&mut unconstrained(self.timer.as_mut())).poll(cx).is_ready() {
                return Poll::Ready(());
            }
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Duration;

    use tokio::task::coop::poll_proceed;

    use super::*;

    #[tokio::test]
    async fn rings_at_a_deadline_that_was_brought_forward_and_put_off() {
        let (mut alarm, begun, mut polls) = (Alarm::new(), Instant::now(), 0);
        let after = |ms| begun + Duration::from_millis(ms);
        poll_fn(|cx| {
            polls += 1;
            if polls == 1 {
                assert!(alarm.poll(cx, after(60_000)).is_pending());
                assert!(alarm.poll(cx, after(20)).is_pending());
            }
            alarm.poll(cx, after(60))
        })
        .await;
        assert!(Instant::now() >= after(60));
        assert!((2..=3).contains(&polls), "woken {polls} times: once for the deadline that was put off");
    }

    #[tokio::test]
    async fn rings_for_a_task_that_may_do_no_more_in_this_turn() {
        let (mut alarm, deadline) = (Alarm::new(), Instant::now() + Duration::from_millis(20));
        poll_fn(|cx| {
            while let Poll::Ready(budget) = poll_proceed(cx) {
                budget.made_progress();
            }
            alarm.poll(cx, deadline)
        })
        .await;
        assert!(Instant::now() >= deadline);
    }
}
