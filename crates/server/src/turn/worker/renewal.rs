//! What becomes of a worker that panics: a fault of this program, for every error of the outside has its own way.
//!
//! Its share of the clients must not be without a relay until somebody notices, and the rooms beside it must not end with
//! it. So the worker begins anew on the same sockets and with nothing else of what it had: its clients' connections and
//! allocations end, as by a restart of the server, and they allocate again. The operator sees an error in the log, and
//! `switchboard_turn_restarts_total`.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rand::Rng as _;

use super::{Parts, Worker, now};
use crate::turn::arena::Arena;
use crate::turn::outbox::Outbox;
use crate::turn::parcels::Parcel;
use crate::turn::sys::Sys;
use crate::turn::token::Token;

/// A worker that fails sooner than this has most probably met the same fault again.
const SOON: Duration = Duration::from_secs(1);

/// How long such a worker rests, so that somebody who has found a packet that it fails on does not fill log and processor.
const REST: Duration = Duration::from_millis(100);

impl Worker {
    /// Works until told to stop, whatever happens.
    pub(in crate::turn) fn work(mut self) {
        loop {
            let begun = Instant::now();
            // A half-done state is seen by nobody: what is taken over is sockets, numbers, and what the engine gives back.
            match catch_unwind(AssertUnwindSafe(|| self.run())) {
                Ok(Ok(())) => return,
                Ok(Err(error)) => tracing::error!(%error, "a TURN worker cannot wait for packets and begins anew"),
                Err(_) => tracing::error!("a TURN worker failed and begins anew; its clients have to allocate again"),
            }
            if begun.elapsed() < SOON && !self.parts.stop.load(Ordering::Acquire) {
                std::thread::sleep(REST);
            }
            let renewed = catch_unwind(AssertUnwindSafe(|| self.renew()));
            let Ok(worker) = renewed else {
                // Nothing is known any more of the sockets, and clients would ask them in vain.
                tracing::error!("a TURN worker cannot begin anew: the program ends");
                std::process::abort();
            };
            self = worker;
        }
    }

    /// A fresh worker on the sockets of one that failed.
    fn renew(self) -> Self {
        let Parts {
            poll,
            engine,
            packet_io,
            sys: _,
            endpoints,
            relays,
            streams,
            post,
            inbox,
            published,
            refusals,
            stop,
        } = self.parts;
        let now = now();
        let parts = Parts {
            engine: engine.renew(rand::rng().random(), now.instant),
            sys: Sys::new(packet_io),
            endpoints: endpoints.renew(),
            relays: relays.renew(),
            streams: streams.renew(),
            post: post.renew(),
            poll,
            packet_io,
            inbox,
            published,
            refusals,
            stop,
        };
        let listeners = (0..).zip(&parts.endpoints.listeners).map(|(index, _)| Token::Udp(index));
        let ready: VecDeque<Token> = listeners.chain((0..parts.streams.listeners()).map(Token::Stream)).collect();
        Self {
            ready,
            // Others wake it only where nothing waited.
            has_mail: true,
            parts,
            arena: Arena::new(),
            outbox: Outbox::default(),
            counters: self.counters.renew(),
            received: Vec::new(),
            dirty: Vec::new(),
            mail: Parcel::default(),
            now,
        }
    }
}
