//! A server of one's own for a test.

use std::net::SocketAddr;

use switchboard_server::{Config, Server};

/// A server on a free port of loopback; dropping it aborts it.
#[derive(Debug)]
pub struct TestServer {
    server: Server,
    address: SocketAddr,
}

impl TestServer {
    /// Starts a server with the default configuration.
    pub async fn spawn() -> Self {
        Self::with(|_| {}).await
    }

    /// Starts a server whose configuration `change` has changed.
    pub async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::on_loopback();
        change(&mut config);
        let server = Server::spawn(config).await.expect("the server starts");
        let address = server.local_addrs()[0];
        Self { server, address }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where metrics and health are.
    ///
    /// # Panics
    /// If the configuration has no such listener.
    pub fn admin_address(&self) -> SocketAddr {
        self.server.admin_addr().expect("a listener for the operator")
    }

    /// The server itself.
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// Shuts the server down and waits until it is gone, so that its port is free again.
    pub async fn stop(self) {
        self.server.shutdown();
        self.gone().await;
    }

    /// Waits until the server is gone that was shut down before.
    pub async fn gone(self) {
        crate::soon("the server to stop", self.server.join()).await;
    }
}
