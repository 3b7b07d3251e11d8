//! From what was typed about STUN and TURN to what it means.

use std::fs::File;
use std::num::NonZeroU8;

use switchboard_server::config::{RelayAddress, Secret, StaticUser, TlsFiles, TurnConfig, TurnLimits, TurnListen};
use switchboard_server::turn::{TlsError, interface_addresses};
use switchboard_turn::PeerPolicy;

use super::super::Settings;
use super::super::problem::{Origin, Problem};
use super::super::raw::Raw;
use super::super::secrets::{FilePath, Hidden};
use super::super::turn::RelaySource;
use super::narrow;

impl Settings {
    /// Works out what STUN and TURN are to be told; what makes no sense goes to `problems`.
    pub(super) fn turn(&self, problems: &mut Vec<Problem>) -> TurnConfig {
        let raw = &self.raw.turn;
        let tls = self.tls(problems);
        self.check_peers(problems);
        TurnConfig {
            listen: self.turn_listen(),
            tls_listen: if tls.is_some() { raw.tls_listen.iter().map(|address| address.0).collect() } else { vec![] },
            tls,
            realm: raw.realm.0.clone(),
            relay_addresses: self.relay_addresses(problems),
            relay_ports: raw.relay_ports.0.clone(),
            secret: self.turn_secret("secret", &raw.secret, &raw.secret_file, problems),
            previous_secret: self.previous_secret(problems),
            users: self.users(problems),
            credential_lifetime: raw.credential_lifetime.0,
            max_allocation_lifetime: raw.max_allocation_lifetime.0,
            allow_peers: raw.allow_peers.iter().map(|network| network.0).collect(),
            deny_peers: raw.deny_peers.iter().map(|network| network.0).collect(),
            allow_loopback_peers: raw.allow_loopback_peers,
            limits: TurnLimits {
                allocations: narrow(raw.allocations),
                allocations_per_user: narrow(raw.allocations_per_user),
                allocations_per_address: narrow(raw.allocations_per_address),
                bytes_per_second: raw.bandwidth.map(|size| size.0),
                ..TurnLimits::default()
            },
            workers: raw.workers.and_then(|workers| NonZeroU8::new(u8::try_from(workers.0).unwrap_or(u8::MAX))),
            nat_detection: raw.nat_detection.map(|address| address.0),
            min_integrity: raw.min_integrity.0,
            api_tokens: raw.api_tokens.iter().map(|token| token.0.clone()).collect(),
            ..TurnConfig::default()
        }
    }

    /// Some addresses are nobody's, and some stand for others: those cannot be allowed.
    fn check_peers(&self, problems: &mut Vec<Problem>) {
        let raw = &self.raw.turn;
        let [allow, deny] = [&raw.allow_peers, &raw.deny_peers].map(|list| list.iter().map(|net| net.0).collect());
        if let Err(error) = PeerPolicy::new(allow, deny, Vec::new(), raw.allow_loopback_peers) {
            let hint = "list the networks in which your own servers are";
            problems.push(self.problem("turn.allow_peers", &format!("asks for too much: {error}"), hint));
        }
    }

    /// An address that somebody chose must be had; the default one is a convenience.
    fn turn_listen(&self) -> TurnListen {
        let addresses = self.raw.turn.listen.iter().flatten().map(|address| address.0);
        match (self.origin("turn.listen"), addresses.collect::<Vec<_>>()) {
            (_, addresses) if addresses.is_empty() => TurnListen::Off,
            (Origin::Default, addresses) => TurnListen::IfFree(addresses[0]),
            (Origin::Port | Origin::File { .. } | Origin::Env(_) | Origin::Flag(_), addresses) => {
                TurnListen::At(addresses)
            }
        }
    }

    /// A certificate and its key, both or neither, in files that can be read.
    fn tls(&self, problems: &mut Vec<Problem>) -> Option<TlsFiles> {
        let raw = &self.raw.turn;
        let before = problems.len();
        for (name, file) in [("turn.certificate", &raw.certificate), ("turn.private_key", &raw.private_key)] {
            if let Some(FilePath(path)) = file
                && let Err(error) = File::open(path)
            {
                let sentence = format!("names a file that cannot be read: {}: {error}", path.display());
                problems.push(self.problem(name, &sentence, "it must be a PEM file that this user may read"));
            }
        }
        let hint = "a certificate and its private key come together";
        match (&raw.certificate, &raw.private_key) {
            (Some(certificate), Some(key)) => {
                let files = TlsFiles { certificate: certificate.0.clone(), private_key: key.0.clone() };
                if problems.len() == before
                    && let Err(error) = files.check()
                {
                    problems.push(self.unusable(&files, &error));
                }
                Some(files)
            }
            (Some(_), None) => {
                problems.push(self.problem("turn.certificate", "needs `turn.private_key` beside it", hint));
                None
            }
            (None, Some(_)) => {
                problems.push(self.problem("turn.private_key", "needs `turn.certificate` beside it", hint));
                None
            }
            (None, None) => {
                // Not by its origin: a printed file sets every default.
                if !raw.tls_listen.is_empty() && raw.tls_listen != Raw::default().turn.tls_listen {
                    let sentence = "needs `turn.certificate` and `turn.private_key`";
                    problems.push(self.problem("turn.tls_listen", sentence, "there is no TLS without a certificate"));
                }
                None
            }
        }
    }

    /// The complaint about files that can be read and are of no use.
    fn unusable(&self, files: &TlsFiles, error: &TlsError) -> Problem {
        let (name, hint) = match error {
            TlsError::Unusable { .. } => (
                "turn.private_key",
                "`openssl x509 -noout -pubkey -in CERTIFICATE` prints the same as `openssl pkey -pubout -in KEY` for a pair",
            ),
            TlsError::NoKey { .. } => ("turn.private_key", "it must be a PEM file with the key of the certificate"),
            TlsError::NoCertificate { .. } => ("turn.certificate", "it must be a PEM file with the whole chain"),
            TlsError::Unreadable { path, .. } | TlsError::NotPem { path, .. } => {
                let is_key = *path == files.private_key;
                (if is_key { "turn.private_key" } else { "turn.certificate" }, "it must be a PEM file")
            }
        };
        self.problem(name, &format!("is of no use: {}", error.to_string().trim_end_matches('.')), hint)
    }

    fn relay_addresses(&self, problems: &mut Vec<Problem>) -> Vec<RelayAddress> {
        let mut addresses = Vec::new();
        for source in &self.raw.turn.relay_addresses {
            match source {
                RelaySource::Address(address) => addresses.push(*address),
                RelaySource::Interface(name) => {
                    let (found, complaint) = match interface_addresses(name) {
                        Ok(found) if found.is_empty() => {
                            let sentence = format!("names an interface that has no address: {name}");
                            (found, Some((sentence, "`ip address` lists the interfaces of this machine")))
                        }
                        Ok(found) => (found, None),
                        Err(error) => {
                            let sentence = format!("names an interface, {name}, and the system lists none: {error}");
                            (Vec::new(), Some((sentence, "let the server open netlink sockets (AF_NETLINK)")))
                        }
                    };
                    if let Some((sentence, hint)) = complaint {
                        problems.push(self.problem("turn.relay_addresses", &sentence, hint));
                    }
                    addresses.extend(found.into_iter().map(|own| RelayAddress { bind: own, external: own }));
                }
            }
        }
        addresses
    }

    /// A secret as it was typed, or from its file.
    fn turn_secret(
        &self,
        name: &str,
        inline: &Option<Hidden>,
        file: &Option<FilePath>,
        problems: &mut Vec<Problem>,
    ) -> Option<Secret> {
        let (path, file_path) = (format!("turn.{name}"), format!("turn.{name}_file"));
        let found = match (inline, file) {
            (Some(_), Some(_)) => {
                let sentence = format!("is set and so is `{path}`; which one counts?");
                problems.push(self.problem(&file_path, &sentence, "set one of them to \"none\""));
                return None;
            }
            (None, None) => return None,
            (Some(secret), None) => secret.secret().map_err(|sentence| (path, sentence)),
            (None, Some(FilePath(file))) => {
                Hidden::from_file(file).and_then(|secret| secret.secret()).map_err(|sentence| (file_path, sentence))
            }
        };
        match found {
            Ok(secret) => Some(secret),
            Err((path, sentence)) => {
                problems.push(self.problem(&path, &sentence, "`openssl rand -hex 32` prints a good one"));
                None
            }
        }
    }

    /// The secret before; it means nothing without one now.
    fn previous_secret(&self, problems: &mut Vec<Problem>) -> Option<Secret> {
        let raw = &self.raw.turn;
        let previous =
            self.turn_secret("previous_secret", &raw.previous_secret, &raw.previous_secret_file, problems)?;
        if raw.secret.is_none() && raw.secret_file.is_none() {
            let name = if raw.previous_secret.is_some() { "turn.previous_secret" } else { "turn.previous_secret_file" };
            problems.push(self.problem(name, "needs a `turn.secret` that replaced it", "put the new one there"));
        }
        Some(previous)
    }

    fn users(&self, problems: &mut Vec<Problem>) -> Vec<StaticUser> {
        let mut users: Vec<StaticUser> = Vec::new();
        for user in &self.raw.turn.users {
            let hint = "each user is called something else";
            match StaticUser::new(&user.name, &user.password) {
                Ok(user) if users.iter().any(|known| known.name() == user.name()) => {
                    let sentence = format!("has two users called {:?}", user.name());
                    problems.push(self.problem("turn.users", &sentence, hint));
                }
                Ok(user) => users.push(user),
                Err(error) => {
                    let sentence = format!("has a user that cannot be: {error}");
                    problems.push(self.problem("turn.users", &sentence, hint));
                }
            }
        }
        users
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Sources;

    fn meaning(assignments: &[&str]) -> Result<TurnConfig, Vec<String>> {
        let assignments = assignments.iter().map(|text| (*text).to_owned()).collect();
        let settings = Settings::load(&Sources { assignments, ..Sources::default() }).expect("well-formed");
        settings
            .meaning()
            .map(|config| config.turn)
            .map_err(|invalid| invalid.0.into_iter().map(|problem| problem.sentence).collect())
    }

    fn complaints(assignments: &[&str]) -> Vec<String> {
        meaning(assignments).expect_err("makes no sense")
    }

    const SECRET: &str = "Vw8kRz1QmT4xYb7NcJ2pLd";

    /// A certificate that vouches for itself and its key, in files.
    struct Pair(tempfile::TempDir);

    impl Pair {
        fn new() -> Self {
            let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
            let folder = tempfile::tempdir().expect("a folder");
            std::fs::write(folder.path().join("cert.pem"), pair.cert.pem()).expect("written");
            std::fs::write(folder.path().join("key.pem"), pair.signing_key.serialize_pem()).expect("written");
            Self(folder)
        }

        fn certificate(&self) -> String {
            format!("turn.certificate={}", self.0.path().join("cert.pem").display())
        }

        fn key(&self) -> String {
            format!("turn.private_key={}", self.0.path().join("key.pem").display())
        }
    }

    #[test]
    fn a_chosen_address_must_be_had_and_none_is_nowhere() {
        assert!(matches!(meaning(&[]).expect("valid").listen, TurnListen::IfFree(_)));
        let chosen = meaning(&["turn.listen=127.0.0.1:0,[::1]:0"]).expect("valid").listen;
        assert!(matches!(chosen, TurnListen::At(addresses) if addresses.len() == 2));
        assert_eq!(meaning(&["turn.listen=none"]).expect("valid").listen, TurnListen::Off);
    }

    #[test]
    fn a_certificate_and_its_key_come_together() {
        let (ours, other) = (Pair::new(), Pair::new());
        let (certificate, key) = (ours.certificate(), ours.key());
        assert_eq!(complaints(&[&certificate]), ["`turn.certificate` needs `turn.private_key` beside it"]);
        assert_eq!(complaints(&[&key]), ["`turn.private_key` needs `turn.certificate` beside it"]);
        let config = meaning(&[&certificate, &key]).expect("valid");
        assert_eq!(config.tls_listen, ["[::]:5349".parse().expect("address")]);
        assert_eq!(
            complaints(&["turn.tls_listen=443"]),
            ["`turn.tls_listen` needs `turn.certificate` and `turn.private_key`"]
        );
        assert!(
            meaning(&["turn.tls_listen=5349"]).expect("the default, as printed files have it").tls_listen.is_empty()
        );
        let strangers = complaints(&[&certificate, &other.key()]);
        assert!(strangers[0].starts_with("`turn.private_key` is of no use: the key in "), "{strangers:?}");
        let swapped = complaints(&[&ours.certificate().replace("cert.pem", "key.pem"), &key]);
        assert!(swapped[0].starts_with("`turn.certificate` is of no use: "), "{swapped:?}");
        let missing = complaints(&["turn.certificate=/nonexistent.pem", &key]);
        assert!(missing[0].starts_with("`turn.certificate` names a file that cannot be read: /nonexistent.pem:"));
    }

    #[test]
    fn a_secret_is_typed_or_in_a_file_and_not_both() {
        let file = tempfile::NamedTempFile::new().expect("file");
        std::fs::write(file.path(), format!("{SECRET}\n")).expect("written");
        let (typed, filed) = (format!("turn.secret={SECRET}"), format!("turn.secret_file={}", file.path().display()));
        assert_eq!(meaning(&[&typed]).expect("valid").secret, meaning(&[&filed]).expect("valid").secret);
        assert_eq!(
            complaints(&[&typed, &filed]),
            ["`turn.secret_file` is set and so is `turn.secret`; which one counts?"]
        );
        let previous = format!("turn.previous_secret={SECRET}");
        assert_eq!(complaints(&[&previous]), ["`turn.previous_secret` needs a `turn.secret` that replaced it"]);
        assert!(meaning(&[&filed, &previous]).expect("valid").previous_secret.is_some());
    }

    #[test]
    fn users_have_names_of_their_own() {
        let ann = "{ name = \"ann\", password = \"correct horse\" }";
        assert_eq!(meaning(&[&format!("turn.users=[{ann}]")]).expect("valid").users.len(), 1);
        assert_eq!(complaints(&[&format!("turn.users=[{ann}, {ann}]")]), ["`turn.users` has two users called \"ann\""]);
    }

    #[test]
    fn what_is_nobodys_peer_cannot_be_allowed() {
        assert_eq!(meaning(&["turn.allow_peers=10.0.0.0/8"]).expect("valid").allow_peers.len(), 1);
        let complaint = complaints(&["turn.allow_peers=10.0.0.0/8,224.0.0.0/4"]);
        assert!(
            complaint[0].starts_with("`turn.allow_peers` asks for too much: peers in 224.0.0.0/4"),
            "{complaint:?}"
        );
    }

    #[test]
    fn an_interface_stands_for_its_addresses_and_has_some() {
        let every = if_addrs::get_if_addrs().expect("interfaces");
        let loopback = every.iter().find(|interface| interface.is_loopback()).expect("loopback");
        let found = meaning(&[&format!("turn.relay_addresses={}", loopback.name)]).expect("valid").relay_addresses;
        assert!(found.iter().any(|found| found.bind.is_loopback() && found.bind == found.external));
        assert_eq!(
            complaints(&["turn.relay_addresses=nonesuch0"]),
            ["`turn.relay_addresses` names an interface that has no address: nonesuch0"]
        );
    }
}
