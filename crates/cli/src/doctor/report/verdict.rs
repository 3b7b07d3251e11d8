//! What the findings mean together, in a sentence or two: whatever failed shows in it.

use super::super::fault::Fault;
use super::super::outside::{Doubt, Outside};
use super::super::probe::Findings;
use super::super::target::Carrier;
use super::{Report, Server, Tone};

const BLOCKED: &str = "UDP does not get through, TCP does: the firewall of the server or of the network here drops UDP. \
                       Calls work, but over TCP, where a lost packet holds up all that follow.";

impl Report {
    /// What it all means.
    pub(super) fn verdict(&self) -> String {
        if self.introduction.is_some() {
            return "Nothing could be tested, because the server did not say what to test.".to_owned();
        }
        let needed: Vec<&Server> = self.servers.iter().filter(|server| server.needed).collect();
        let failed: Vec<&Server> = needed.iter().copied().filter(|server| !server.works()).collect();
        let others = self.rest();
        if failed.is_empty() {
            format!("{}{others}", self.works(&needed))
        } else if failed.iter().all(|server| server.is_closed()) {
            let closed = "STUN works, but nothing shows that others reach the relay's ports: who cannot connect directly may \
                          stay alone.";
            format!("{closed}{others}")
        } else if failed.len() == needed.len() && failed.iter().all(|server| server.answers()) {
            "STUN works, but no relay does: who cannot connect directly stays alone.".to_owned()
        } else if failed.len() == needed.len() {
            "Nothing works: nobody behind a strict NAT or firewall can connect.".to_owned()
        } else if self.is_udp_blocked(&failed) {
            format!("{BLOCKED}{others}")
        } else {
            let names: Vec<String> = failed.iter().map(|server| server.name()).collect();
            format!("{}, what else is relied on does.{others}", not_working(&names))
        }
    }

    /// The verdict where all works that somebody relies on.
    fn works(&self, needed: &[&Server]) -> String {
        let all = if self.labels(Tone::Note).is_empty() { "Everything" } else { "Everything that is relied on" };
        match (needed.iter().any(|server| server.uri.relays), self.doubt()) {
            (true, None) => format!("{all} works: who cannot connect directly is relayed."),
            (true, Some(doubt)) => format!("{all} works, as far as that shows from here. {}", doubt.sentence()),
            (false, _) => {
                "STUN works. No relay was tested, for none was named: who cannot connect directly stays alone."
                    .to_owned()
            }
        }
    }

    /// What failed though nobody relies on it alone, and what could not be tested, each as a sentence after a space.
    fn rest(&self) -> String {
        let failed = self.labels(Tone::Note);
        let failed = if failed.is_empty() { String::new() } else { format!(" {}.", not_working(&failed)) };
        let skipped = self.labels(Tone::Skipped);
        let skipped = if skipped.is_empty() {
            String::new()
        } else {
            format!(" This machine has no way to test {}.", listed(&skipped))
        };
        failed + &skipped
    }

    /// The checks that ended so, each label once.
    fn labels(&self, tone: Tone) -> Vec<String> {
        let mut labels = Vec::new();
        for row in self.servers.iter().flat_map(Server::rows).filter(|row| row.tone == tone) {
            let label = match row.label.split_once(", ") {
                Some((check, family)) => format!("{check} ({family})"),
                None => row.label,
            };
            if !labels.contains(&label) {
                labels.push(label);
            }
        }
        labels
    }

    /// Why it does not show whether others reach the relays; none if they reach one that somebody relies on, or there is none.
    fn doubt(&self) -> Option<&Doubt> {
        let needed = self.servers.iter().filter(|server| server.needed);
        let relays = || needed.clone().flat_map(|server| &server.families).filter_map(|(_, found)| found.outside());
        let doubts = relays().filter_map(|outside| match outside {
            Outside::Open => None,
            Outside::Unshown(doubt) => Some(doubt),
        });
        if relays().any(|outside| *outside == Outside::Open) { None } else { doubts.into_iter().next() }
    }

    /// Whether all that failed is UDP without an answer, and something else works.
    fn is_udp_blocked(&self, failed: &[&Server]) -> bool {
        let silent = |server: &&Server| {
            let silent =
                |(_, findings): &(bool, Findings)| matches!(findings.stun, Err(Fault::Silent | Fault::NoRoute));
            server.carrier == Carrier::Udp && server.unknown.is_none() && server.families.iter().all(silent)
        };
        failed.iter().all(silent) && self.servers.iter().any(|server| server.carrier != Carrier::Udp && server.works())
    }
}

impl Server {
    /// Whether nothing is wrong with it but that others do not reach its relay.
    fn is_closed(&self) -> bool {
        let closed = |(_, findings): &(bool, Findings)| {
            matches!(findings.relay, Some(Err(Fault::RelayClosed { .. } | Fault::RelayOneWay { .. })))
        };
        self.families.iter().any(closed)
    }

    fn name(&self) -> String {
        format!("{} over {}", if self.uri.relays { "TURN" } else { "STUN" }, self.carrier)
    }
}

fn not_working(names: &[String]) -> String {
    format!("{} {} not work", listed(names), if names.len() == 1 { "does" } else { "do" })
}

fn listed(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}
