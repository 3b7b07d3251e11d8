//! `switchboard doctor`: asks a server for STUN and relays as a page would, from here, and says in words what works, what does
//! not, why, and what to do. It changes nothing, and it ends within seconds.

mod fault;
mod introduce;
mod link;
mod outside;
mod probe;
mod progress;
mod report;
mod target;
mod tls;

use std::io::{self, IsTerminal as _, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use switchboard_turn::{Credentials, Secret};
use tokio::net::lookup_host;
use tokio::task::JoinSet;
use tokio::time::timeout;

use fault::Fault;
use introduce::{Offer, introduce};
use link::Way;
use outside::{Doubt, Outside};
use probe::{Account, Findings, Path, Relay, examine};
use progress::Progress;
use report::{Report, Server};
use target::{Carrier, Target, Uri};
use tls::Trust;

/// Ways that are examined at the same time: a list that is longer is cut, for each way takes up to four sockets.
const MAX_WAYS: usize = 64;

/// How long a name may take to resolve.
const RESOLVE: Duration = Duration::from_secs(4);

/// For how long the credentials are good that are made from a secret.
const LIFETIME: Duration = Duration::from_secs(600);

/// What is to be examined, as it was typed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Order {
    /// A Switchboard's link, or URIs of servers; nothing for the Switchboard on this machine.
    pub(crate) servers: Vec<String>,
    /// The user name.
    pub(crate) username: Option<String>,
    /// The password.
    pub(crate) password: Option<String>,
    /// The secret that time-limited credentials are made from.
    pub(crate) secret: Option<String>,
    /// A file of authorities to trust.
    pub(crate) authorities: Option<PathBuf>,
    /// Whether a program reads the result.
    pub(crate) json: bool,
}

/// Something essential does not work, and the report has said so.
#[derive(Debug, thiserror::Error)]
#[error("something does not work")]
pub(crate) struct Unwell;

/// What was typed makes no sense, and nothing was asked. Exit code 2, as for the rest of the command line.
#[derive(Debug, thiserror::Error)]
#[error("{0:#}")]
pub(crate) struct Misused(anyhow::Error);

/// Examines and reports.
///
/// # Errors
/// [`Unwell`] if something essential does not work, [`Misused`] and others if it could not even be tried.
pub(crate) fn doctor(order: &Order) -> anyhow::Result<()> {
    let (target, account, trust) = order.understood().map_err(Misused)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start")?;
    let report = runtime.block_on(examine_all(target, account, trust));
    // A name that still resolves must not keep the result waiting.
    runtime.shutdown_background();
    let mut out = io::stdout().lock();
    let text = if order.json { report.json() } else { report.text(out.is_terminal()) };
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).context("cannot write to standard output")?;
    if report.is_well() { Ok(()) } else { Err(Unwell.into()) }
}

impl Order {
    fn understood(&self) -> anyhow::Result<(Target, Option<Account>, Trust)> {
        Ok((Target::parse(&self.servers)?, self.account()?, Trust::new(self.authorities.as_deref())?))
    }

    fn account(&self) -> anyhow::Result<Option<Account>> {
        if let Some(secret) = &self.secret {
            return Ok(Some(issued(secret, self.username.as_deref().unwrap_or("doctor"))?));
        }
        match (&self.username, &self.password) {
            (Some(username), Some(password)) => {
                Ok(Some(Account { username: username.clone(), password: password.clone() }))
            }
            (None, None) => Ok(None),
            (Some(_), None) => anyhow::bail!("give a --password for the --username, or the server's --secret"),
            (None, Some(_)) => anyhow::bail!("give a --username for the --password"),
        }
    }
}

/// Credentials as the server itself would make them.
fn issued(secret: &str, user: &str) -> anyhow::Result<Account> {
    let secret = Secret::new(secret.as_bytes())?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock is before 1970")?;
    let credentials = Credentials::new("doctor", secret, None, Vec::new())?;
    let issued = credentials.issue(user, (now + LIFETIME).as_secs())?;
    Ok(Account { username: issued.username, password: issued.password })
}

async fn examine_all(target: Target, account: Option<Account>, trust: Trust) -> Report {
    let (subject, offers) = match target {
        Target::Switchboard(site) => {
            let introduced = introduce(&site, &trust).await;
            (site.to_string(), introduced.map_err(|fault| (fault, site.port)))
        }
        Target::Servers(uris) => {
            let offers = uris.into_iter().map(|uri| Offer { uri, account: account.clone() }).collect();
            ("STUN and TURN".to_owned(), Ok(offers))
        }
    };
    let (offers, introduction) = match offers {
        Ok(offers) => (offers, None),
        Err(fault) => (Vec::new(), Some(fault)),
    };
    let plans = plan(offers);
    let servers = examine_servers(plans, trust).await;
    Report { subject, introduction, servers }
}

/// A server and one carrier to it.
#[derive(Debug, Clone)]
struct Plan {
    uri: Uri,
    carrier: Carrier,
    needed: bool,
    account: Option<Account>,
}

/// What to examine: a server that is named for STUN and for TURN is asked once over each carrier.
fn plan(offers: Vec<Offer>) -> Vec<Plan> {
    let mut plans: Vec<Plan> = Vec::new();
    for Offer { uri, account } in offers {
        let ways: &[(Carrier, bool)] = match uri.carrier {
            Some(carrier) => &[(carrier, true)],
            None => &[(Carrier::Udp, true), (Carrier::Tcp, false)],
        };
        for (carrier, needed) in ways.iter().copied() {
            let same =
                |plan: &&mut Plan| plan.carrier == carrier && plan.uri.host == uri.host && plan.uri.port == uri.port;
            match plans.iter_mut().find(same) {
                Some(plan) => plan.merge(&uri, needed, account.as_ref()),
                None => plans.push(Plan { uri: uri.clone(), carrier, needed, account: account.clone() }),
            }
        }
    }
    plans.truncate(MAX_WAYS);
    plans
}

impl Plan {
    fn merge(&mut self, uri: &Uri, needed: bool, account: Option<&Account>) {
        self.uri.relays |= uri.relays;
        self.needed |= needed;
        self.account = self.account.take().or_else(|| account.cloned());
    }
}

async fn examine_servers(plans: Vec<Plan>, trust: Trust) -> Vec<Server> {
    let progress = Arc::new(Progress::new(plans.len()));
    let mut tasks = JoinSet::new();
    for (index, plan) in plans.into_iter().enumerate() {
        let (trust, progress) = (trust.clone(), Arc::clone(&progress));
        tasks.spawn(async move {
            let server = Box::pin(examine_server(plan, &trust)).await;
            progress.done();
            (index, server)
        });
    }
    let ticker = progress.show();
    let examined = tasks.join_all();
    let mut servers = tokio::select! {
        servers = examined => servers,
        () = ticker => Vec::new(),
    };
    progress.clear();
    servers.sort_by_key(|(index, _)| *index);
    let mut servers: Vec<Server> = servers.into_iter().map(|(_, server)| server).collect();
    blame(&mut servers);
    servers
}

/// A packet that does not arrive at a relay is a fault of the server's side where UDP leaves the network here; else it says
/// nothing.
fn blame(servers: &mut [Server]) {
    for is_v6 in [false, true] {
        let family = |(v6, findings): &&mut (bool, Findings)| *v6 == is_v6 && findings.stun.is_ok();
        let udp = servers.iter_mut().filter(|server| server.carrier == Carrier::Udp);
        if udp.flat_map(|server| &mut server.families).find(family).is_none() {
            continue;
        }
        for (_, findings) in servers.iter_mut().flat_map(|server| &mut server.families).filter(family) {
            if let Some(Ok(Relay { outside: Outside::Unshown(Doubt::Lost { relayed }), .. })) = findings.relay {
                findings.relay = Some(Err(Fault::RelayClosed { relayed }));
            }
        }
    }
}

async fn examine_server(plan: Plan, trust: &Trust) -> Server {
    let Plan { uri, carrier, needed, account } = plan;
    let addresses = resolve(&uri).await;
    let path = |server| {
        let way = Way { host: uri.host.clone(), server, carrier };
        Path { way, relays: uri.relays, account: account.clone() }
    };
    let (families, unknown) = match addresses {
        Ok((v4, v6)) => {
            let (v4, v6) = (v4.map(path), v6.map(path));
            let (v4, v6) = tokio::join!(examine_if_any(v4, trust), examine_if_any(v6, trust));
            (v4.map(|found| (false, found)).into_iter().chain(v6.map(|found| (true, found))).collect(), None)
        }
        Err(fault) => (Vec::new(), Some(fault)),
    };
    Server { uri, carrier, needed, families, unknown }
}

async fn examine_if_any(path: Option<Path>, trust: &Trust) -> Option<Findings> {
    match path {
        Some(path) => Some(examine(&path, trust).await),
        None => None,
    }
}

/// The first address of each family.
async fn resolve(uri: &Uri) -> Result<(Option<SocketAddr>, Option<SocketAddr>), Fault> {
    let unknown = || Fault::NoAddress { host: uri.host.clone() };
    let found = timeout(RESOLVE, lookup_host((uri.host.as_str(), uri.port))).await.map_err(|_| unknown())?;
    let found: Vec<SocketAddr> = found.map_err(|_| unknown())?.collect();
    let first = |v6: bool| found.iter().copied().find(|address| address.is_ipv6() == v6);
    match (first(false), first(true)) {
        (None, None) => Err(unknown()),
        both => Ok(both),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_asked_once_over_each_carrier() {
        let account = Account { username: "ann".to_owned(), password: "secret".to_owned() };
        let offer = |uri: &str, account: Option<&Account>| Offer {
            uri: Uri::parse(uri).expect("a URI"),
            account: account.cloned(),
        };
        let plans = plan(vec![
            offer("stun:a:3478", None),
            offer("turn:a:3478?transport=udp", Some(&account)),
            offer("turn:a:3478?transport=tcp", Some(&account)),
            offer("turns:a:5349", Some(&account)),
        ]);
        let asked: Vec<_> = plans.iter().map(|plan| (plan.carrier, plan.uri.relays, plan.needed)).collect();
        assert_eq!(asked, [(Carrier::Udp, true, true), (Carrier::Tcp, true, true), (Carrier::Tls, true, true)]);
        assert!(plans.iter().all(|plan| plan.account.is_some()));
    }

    #[test]
    fn a_uri_without_a_transport_needs_udp_and_tries_tcp() {
        let plans = plan(vec![Offer { uri: Uri::parse("stun:a").expect("a URI"), account: None }]);
        let asked: Vec<_> = plans.iter().map(|plan| (plan.carrier, plan.needed)).collect();
        assert_eq!(asked, [(Carrier::Udp, true), (Carrier::Tcp, false)]);
    }

    #[test]
    fn what_is_lost_on_the_way_to_a_relay_is_blamed_on_it_where_udp_leaves_the_network() {
        let relayed: SocketAddr = "203.0.113.7:50000".parse().expect("an address");
        let seen = probe::Seen { mapped: relayed, took: Duration::ZERO };
        let examined = |uri: &str, carrier, stun| {
            let outside = Outside::Unshown(Doubt::Lost { relayed });
            let relay = Some(Ok(Relay { addresses: vec![relayed], echo: Duration::ZERO, outside }));
            let families = vec![(false, Findings { stun, relay, nat: None })];
            Server { uri: Uri::parse(uri).expect("a URI"), carrier, needed: true, families, unknown: None }
        };
        let blamed = |udp: Result<probe::Seen, Fault>| {
            let mut servers = vec![examined("turns:a", Carrier::Tls, Ok(seen)), examined("turn:a", Carrier::Udp, udp)];
            blame(&mut servers);
            matches!(servers[0].families[0].1.relay, Some(Err(Fault::RelayClosed { .. })))
        };
        assert!(blamed(Ok(seen)));
        assert!(!blamed(Err(Fault::Silent)));
    }

    #[test]
    fn half_of_an_account_is_refused() {
        let order = |username: Option<&str>, password: Option<&str>| Order {
            username: username.map(str::to_owned),
            password: password.map(str::to_owned),
            ..Order::default()
        };
        assert!(order(Some("ann"), None).account().is_err());
        assert!(order(None, Some("x")).account().is_err());
        assert_eq!(order(None, None).account().expect("nothing"), None);
    }
}
