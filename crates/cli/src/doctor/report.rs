//! The findings as a whole: which matter, what they mean together, and how they are told to people and to programs.

mod verdict;

use std::fmt::Write as _;
use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};
use switchboard_turn::client::discovery::{Behaviour, Dependence, DiscoveryError};

use super::fault::Fault;
use super::outside::Outside;
use super::probe::{Findings, Nat, Relay};
use super::target::{Carrier, Uri, bracketed};

/// Columns of the text: longer sentences are wrapped.
const WIDTH: usize = 100;
/// Where sentences begin.
const INDENT: usize = 30;

/// A server's URI with what was found on each address of its host.
#[derive(Debug)]
pub(crate) struct Server {
    /// Which.
    pub(crate) uri: Uri,
    /// How it was reached.
    pub(crate) carrier: Carrier,
    /// Whether anybody relies on it: a URI that leaves the transport open is tried over TCP too, for the record.
    pub(crate) needed: bool,
    /// For each family that the host has an address of: whether it is IPv6, and what was found.
    pub(crate) families: Vec<(bool, Findings)>,
    /// Why the host has no address.
    pub(crate) unknown: Option<Fault>,
}

/// Everything that was found.
#[derive(Debug)]
pub(crate) struct Report {
    /// Whom it is about.
    pub(crate) subject: String,
    /// Why the Switchboard could not be asked, and its port.
    pub(crate) introduction: Option<(Fault, u16)>,
    /// The servers in the order in which they were named.
    pub(crate) servers: Vec<Server>,
}

/// How good a row is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Tone {
    /// It works.
    Ok,
    /// It does not, and nobody relies on it alone.
    Note,
    /// This machine cannot test it.
    Skipped,
    /// It does not.
    Failed,
}

/// One line of the result.
struct Row {
    tone: Tone,
    label: String,
    text: String,
    advice: Option<String>,
    json: Value,
}

impl Server {
    fn works(&self) -> bool {
        self.families.iter().any(|(_, findings)| findings.works())
    }

    fn answers(&self) -> bool {
        self.families.iter().any(|(_, findings)| findings.stun.is_ok())
    }

    /// A failure counts if the server is needed and works on no address.
    fn tone(&self, fault: &Fault) -> Tone {
        if self.needed && !self.works() {
            Tone::Failed
        } else if *fault == Fault::NoRoute {
            Tone::Skipped
        } else {
            Tone::Note
        }
    }

    fn rows(&self) -> Vec<Row> {
        let unknown = self.unknown.iter().map(|fault| self.failed("STUN", false, fault));
        let found = self.families.iter().flat_map(|(v6, findings)| self.family_rows(*v6, findings));
        unknown.chain(found).collect()
    }

    fn family_rows(&self, v6: bool, findings: &Findings) -> Vec<Row> {
        let what = if self.uri.relays { "STUN and TURN" } else { "STUN" };
        let seen = match &findings.stun {
            Err(fault) => return vec![self.failed(what, v6, fault)],
            Ok(seen) => seen,
        };
        let text = format!("you are {}, answered in {}", seen.mapped, milliseconds(seen.took));
        let details = json!({ "mapped": seen.mapped, "tookMs": millis(seen.took) });
        let mut rows = vec![self.row(Tone::Ok, "STUN", v6, text, None, details)];
        match &findings.relay {
            None => {}
            Some(Err(fault)) => rows.push(self.failed("TURN", v6, fault)),
            Some(Ok(Relay { addresses, echo, outside })) => {
                let hosts: Vec<String> = addresses.iter().map(|address| address.ip().to_string()).collect();
                let (open, doubt) = match outside {
                    Outside::Open => ("open", None),
                    Outside::Unshown(doubt) => ("not shown to be open", Some(doubt.code())),
                };
                let text = format!("relays at {}, echo in {}, ports {open}", hosts.join(" and "), milliseconds(*echo));
                let details =
                    json!({ "relayed": addresses, "echoMs": millis(*echo), "open": doubt.is_none(), "doubt": doubt });
                rows.push(self.row(Tone::Ok, "TURN", v6, text, None, details));
            }
        }
        rows
    }

    fn failed(&self, what: &str, v6: bool, fault: &Fault) -> Row {
        let (sentence, advice) =
            (fault.sentence(self.carrier, self.uri.port), fault.advice(self.carrier, self.uri.port));
        let details = json!({ "problem": fault.code(), "message": sentence, "advice": advice });
        self.row(self.tone(fault), what, v6, sentence, Some(advice), details)
    }

    fn row(&self, tone: Tone, what: &str, v6: bool, text: String, advice: Option<String>, details: Value) -> Row {
        let family = if v6 { "IPv6" } else { "IPv4" };
        let mut json = json!({
            "check": what.to_lowercase(),
            "transport": self.carrier.to_string().to_lowercase(),
            "host": self.uri.host,
            "port": self.uri.port,
            "family": family.to_lowercase(),
            "result": tone,
        });
        if let (Some(json), Value::Object(details)) = (json.as_object_mut(), details) {
            json.extend(details);
        }
        let family = if self.unknown.is_some() { String::new() } else { format!(", {family}") };
        Row { tone, label: format!("{what} over {}{family}", self.carrier), text, advice, json }
    }
}

impl Findings {
    fn works(&self) -> bool {
        self.stun.is_ok() && !matches!(self.relay, Some(Err(_)))
    }

    /// Whether others reach the relay, if there is one.
    fn outside(&self) -> Option<&Outside> {
        match &self.relay {
            Some(Ok(relay)) => Some(&relay.outside),
            Some(Err(_)) | None => None,
        }
    }
}

impl Report {
    /// Whether everything that somebody relies on works.
    pub(crate) fn is_well(&self) -> bool {
        let healthy = |server: &Server| server.works() || !server.needed;
        self.introduction.is_none() && self.servers.iter().all(healthy)
    }

    /// The report for people.
    pub(crate) fn text(&self, colours: bool) -> String {
        let mut page = format!("\n  {}\n", self.subject);
        if let Some((fault, port)) = &self.introduction {
            let (sentence, advice) = (fault.sentence(Carrier::Tcp, *port), fault.advice(Carrier::Tcp, *port));
            self.write_row(&mut page, colours, Tone::Failed, "Introduction", &sentence, Some(&advice));
        }
        let mut place = String::new();
        for server in &self.servers {
            let next = format!("{}:{}", bracketed(&server.uri.host), server.uri.port);
            if next != place {
                let _ = write!(page, "\n  {next}\n");
                place = next;
            }
            for row in server.rows() {
                self.write_row(&mut page, colours, row.tone, &row.label, &row.text, row.advice.as_deref());
            }
        }
        if let Some(nat) = self.nat() {
            page.push_str("\n  The network here\n");
            for (label, text) in nat_rows(nat) {
                self.write_row(&mut page, colours, Tone::Ok, label, &text, None);
            }
        }
        page.push('\n');
        for line in wrapped(&self.verdict(), WIDTH - 2) {
            let _ = writeln!(page, "  {line}");
        }
        page.push('\n');
        page
    }

    fn write_row(&self, page: &mut String, colours: bool, tone: Tone, label: &str, text: &str, advice: Option<&str>) {
        let (mark, colour) = match tone {
            Tone::Ok => ("✓", "32"),
            Tone::Note | Tone::Skipped => ("–", "33"),
            Tone::Failed => ("✗", "31"),
        };
        let mark = if colours { format!("\x1b[{colour}m{mark}\x1b[0m") } else { mark.to_owned() };
        let mut lines = wrapped(text, WIDTH - INDENT - 4);
        lines.extend(advice.into_iter().flat_map(|advice| wrapped(advice, WIDTH - INDENT - 4)));
        for (index, line) in lines.iter().enumerate() {
            let _ = if index == 0 {
                writeln!(page, "  {mark} {label:<INDENT$}{line}")
            } else {
                writeln!(page, "    {:<INDENT$}{line}", "")
            };
        }
    }

    /// The report for programs.
    pub(crate) fn json(&self) -> String {
        let checks: Vec<Value> = self.servers.iter().flat_map(Server::rows).map(|row| row.json).collect();
        let introduction = self.introduction.as_ref().map(|(fault, port)| {
            json!({
                "problem": fault.code(),
                "message": fault.sentence(Carrier::Tcp, *port),
                "advice": fault.advice(Carrier::Tcp, *port),
            })
        });
        let nat = self.nat().map(|nat| {
            json!({
                "translates": nat.translates,
                "mapping": nat.mapping.as_ref().ok().map(|it| dependence_code(it.dependence)),
                "filtering": nat.filtering.as_ref().ok().map(|it| dependence_code(it.dependence)),
            })
        });
        let report = json!({
            "server": self.subject,
            "ok": self.is_well(),
            "verdict": self.verdict(),
            "introduction": introduction,
            "checks": checks,
            "nat": nat,
        });
        format!("{report:#}\n")
    }

    fn nat(&self) -> Option<&Nat> {
        self.servers.iter().flat_map(|server| &server.families).find_map(|(_, findings)| findings.nat.as_ref())
    }
}

fn nat_rows(nat: &Nat) -> Vec<(&'static str, String)> {
    vec![("Mapping", mapping_words(nat.translates, &nat.mapping)), ("Filtering", filtering_words(&nat.filtering))]
}

type Detected = Result<Behaviour, DiscoveryError>;

fn mapping_words(translates: bool, mapping: &Detected) -> String {
    match mapping {
        Ok(_) if !translates => "no NAT: the server sees this machine's own address".to_owned(),
        Ok(Behaviour { dependence, .. }) => match dependence {
            Dependence::EndpointIndependent => {
                "one address for all destinations: direct connections work with most others"
            }
            Dependence::AddressDependent => {
                "another address for each destination: direct connections work with some others"
            }
            Dependence::AddressAndPortDependent => {
                "another address for each destination and port (a symmetric NAT): most connections need a relay"
            }
        }
        .to_owned(),
        Err(error) => format!("unknown: {error}"),
    }
}

fn filtering_words(filtering: &Detected) -> String {
    match filtering {
        Ok(Behaviour { dependence, .. }) => match dependence {
            Dependence::EndpointIndependent => "everybody may send here once something was sent from here",
            Dependence::AddressDependent => "only addresses that were written to may send here",
            Dependence::AddressAndPortDependent => "only addresses and ports that were written to may send here",
        }
        .to_owned(),
        Err(error) => format!("unknown: {error}"),
    }
}

fn dependence_code(dependence: Dependence) -> &'static str {
    match dependence {
        Dependence::EndpointIndependent => "endpoint-independent",
        Dependence::AddressDependent => "address-dependent",
        Dependence::AddressAndPortDependent => "address-and-port-dependent",
    }
}

fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 10_000.0).round() / 10.0
}

fn milliseconds(duration: Duration) -> String {
    match duration.as_millis() {
        0 => "under 1 ms".to_owned(),
        whole => format!("{whole} ms"),
    }
}

/// Breaks a sentence between words.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line =
            lines.last_mut().filter(|line| line.is_empty() || line.chars().count() + word.chars().count() < width);
        match line {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) => {
                line.push(' ');
                line.push_str(word);
            }
            None => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests;
