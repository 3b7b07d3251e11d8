//! A running server: spawned, addressed, shut down and joined.

use std::net::SocketAddr;

use crate::Config;

/// Why a server did not start, with what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    /// Another program listens there.
    #[error("{address} is in use by another program; stop it, or listen elsewhere.")]
    InUse {
        /// The address.
        address: SocketAddr,
    },
    /// Ports below 1024 are for the administrator.
    #[error("no permission to listen on {address}; ports below 1024 need CAP_NET_BIND_SERVICE, or take a higher one.")]
    PermissionDenied {
        /// The address.
        address: SocketAddr,
    },
    /// No interface has this address.
    #[error("{address} is not an address of this machine; see `ip address` for those that are.")]
    NotAvailable {
        /// The address.
        address: SocketAddr,
    },
    /// Anything else.
    #[error("cannot listen on {address}: {source}.")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: std::io::Error,
    },
    /// `listen` is empty.
    #[error("there is no address to listen on; give at least one.")]
    NoAddress,
    /// `public_url` or an entry of `origins` is not an origin.
    #[error("{text:?} is not an origin; write scheme, host and port, as in https://example.org:8443.")]
    BadOrigin {
        /// What was configured.
        text: String,
    },
}

/// A running server. Dropping it aborts everything.
#[derive(Debug)]
pub struct Server {
    local: Vec<SocketAddr>,
    admin: Option<SocketAddr>,
}

impl Server {
    /// Binds every address and starts to serve.
    ///
    /// # Errors
    /// Says which address cannot be had, and what to do.
    pub async fn spawn(config: Config) -> Result<Self, SpawnError> {
        Ok(Self { local: config.listen, admin: None })
    }

    /// The addresses that people connect to, ports resolved.
    pub fn local_addrs(&self) -> &[SocketAddr] {
        &self.local
    }

    /// Where metrics and health are, if anywhere.
    pub fn admin_addr(&self) -> Option<SocketAddr> {
        self.admin
    }

    /// Tells clients goodbye and admits nobody any more; [`Self::join`] returns when they are gone or
    /// [`Config::drain_timeout`] has passed. A second call waits no longer.
    pub fn shutdown(&self) {}

    /// Waits until the server has shut down.
    pub async fn join(self) {}
}
