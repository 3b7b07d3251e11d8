//! The start of a server, and what an operator can do when it fails.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use switchboard_server::{Config, Server, SpawnError};
use tracing::warn;

use crate::config::{Origin, Settings};

/// Starts the server; where the machine has no IPv6, every address means every IPv4 address.
///
/// # Errors
/// A configuration that makes no sense, or an address that cannot be had, with what to do about it.
pub(crate) async fn spawn(settings: &Settings) -> anyhow::Result<Server> {
    let config = settings.meaning()?;
    let outcome = match Server::spawn(config.clone()).await {
        Err(error) if lacks_ipv6(&error) => {
            warn!("this machine has no IPv6; listening on IPv4 alone");
            Server::spawn(Config { listen: over_ipv4(&config.listen), ..config }).await
        }
        outcome => outcome,
    };
    outcome.map_err(|error| advise(&error, settings))
}

/// Whether a start failed because the machine has no IPv6, though no IPv6 address in particular was asked for.
fn lacks_ipv6(error: &SpawnError) -> bool {
    #[cfg(unix)]
    let unsupported = Some(rustix::io::Errno::AFNOSUPPORT.raw_os_error());
    #[cfg(not(unix))]
    let unsupported = Some(10_047);
    match error {
        SpawnError::Listen { address, source } => {
            *address == SocketAddr::from((Ipv6Addr::UNSPECIFIED, address.port()))
                && source.raw_os_error() == unsupported
        }
        SpawnError::InUse { .. }
        | SpawnError::PermissionDenied { .. }
        | SpawnError::NotAvailable { .. }
        | SpawnError::NoAddress
        | SpawnError::BadOrigin { .. }
        | SpawnError::PathTaken(_)
        | SpawnError::Turn(_) => false,
    }
}

fn over_ipv4(listen: &[SocketAddr]) -> Vec<SocketAddr> {
    let any = |address: &SocketAddr| address.ip() == Ipv6Addr::UNSPECIFIED;
    let narrowed = |address: &SocketAddr| SocketAddr::from((Ipv4Addr::UNSPECIFIED, address.port()));
    listen.iter().map(|address| if any(address) { narrowed(address) } else { *address }).collect()
}

/// Adds to a failed start what the operator of this command can do.
fn advise(error: &SpawnError, settings: &Settings) -> anyhow::Error {
    let (address, hint) = match error {
        SpawnError::InUse { address } => (Some(address), "0 takes a free port; `ss -ltnp` shows who has this one"),
        SpawnError::PermissionDenied { address } => (Some(address), "3000 needs no permission"),
        SpawnError::NotAvailable { address } => (Some(address), "3000 needs no address"),
        SpawnError::Listen { address, .. } => (Some(address), ""),
        SpawnError::NoAddress | SpawnError::BadOrigin { .. } | SpawnError::PathTaken(_) | SpawnError::Turn(_) => {
            (None, "")
        }
    };
    let key = address.map_or("listen", |address| key_of(*address, settings));
    let hint = match key {
        _ if hint.is_empty() => String::new(),
        "listen" => format!("\nhint: --listen {hint}"),
        "turn.listen" => "\nhint: --turn-listen none does without STUN and TURN".to_owned(),
        "turn.tls_listen" => "\nhint: --turn-tls-listen takes another address".to_owned(),
        _ => "\nhint: --admin-listen none does without metrics".to_owned(),
    };
    let set_by = match (address, settings.origin(key)) {
        (Some(_), origin @ (Origin::File { .. } | Origin::Env(_) | Origin::Port)) => format!(" (set by {origin})"),
        (Some(_), Origin::Default | Origin::Flag(_)) | (None, _) => String::new(),
    };
    anyhow::anyhow!("{}{set_by}{hint}", error.to_string().trim_end_matches('.'))
}

/// Which setting an address comes from.
fn key_of(address: SocketAddr, settings: &Settings) -> &'static str {
    let (main, turn) = (&settings.raw.main, &settings.raw.turn);
    if main.listen.iter().any(|listen| listen.0 == address) {
        "listen"
    } else if turn.listen.iter().flatten().any(|listen| listen.0 == address) {
        "turn.listen"
    } else if turn.tls_listen.iter().any(|listen| listen.0 == address) {
        "turn.tls_listen"
    } else {
        "admin_listen"
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::io;

    use super::*;

    fn unsupported(address: &str) -> SpawnError {
        let source = io::Error::from(rustix::io::Errno::AFNOSUPPORT);
        SpawnError::Listen { address: address.parse().expect("address"), source }
    }

    #[test]
    fn a_machine_without_ipv6_serves_over_ipv4() {
        assert!(lacks_ipv6(&unsupported("[::]:3000")));
        let listen = ["[::]:3000", "127.0.0.1:1"].map(|text| text.parse().expect("address"));
        assert_eq!(
            over_ipv4(&listen).iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["0.0.0.0:3000", "127.0.0.1:1"]
        );
    }

    #[test]
    fn an_ipv6_address_in_particular_has_no_substitute() {
        assert!(!lacks_ipv6(&unsupported("[::1]:3000")));
    }
}
