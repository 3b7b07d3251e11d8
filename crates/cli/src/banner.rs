//! What is said at the start: to a person on a terminal, or to a program that reads standard output.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use switchboard_server::TurnAddrs;

use crate::qr::TerminalCode;
use crate::reach::Links;

/// What there is to say.
#[derive(Debug)]
pub(crate) struct Banner {
    /// Where to open the page.
    pub(crate) links: Links,
    /// Where the operator reads metrics.
    pub(crate) admin: Option<SocketAddr>,
    /// Where STUN and TURN are.
    pub(crate) turn: TurnAddrs,
    /// Whether the QR code is wanted.
    pub(crate) qr: bool,
}

/// A terminal that shows a banner.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Screen {
    /// Columns and rows.
    pub(crate) size: (usize, usize),
    /// Whether it may be coloured.
    pub(crate) colours: bool,
}

impl Banner {
    /// One line for each link: `Listening on http://127.0.0.1:41234`.
    pub(crate) fn plain(&self) -> String {
        self.links.all().map(|link| format!("Listening on {link}\n")).collect()
    }

    /// The banner for people.
    pub(crate) fn pretty(&self, screen: Screen) -> String {
        let paint = |code: &str, text: &str| {
            if screen.colours { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
        };
        let mut page = format!("\n  {} {}\n\n", paint("1", "Switchboard"), env!("CARGO_PKG_VERSION"));
        let mut row = |label: &str, link: &str| {
            page.push_str(&format!("  {label:<17} {}\n", paint("1;36", link)));
        };
        self.links.local.iter().for_each(|link| row("On this machine", link));
        self.links.network.iter().for_each(|link| row("On your network", link));
        self.links.public.iter().for_each(|link| row("For everybody", link));
        if let Some(admin) = self.admin {
            row("For the operator", &format!("http://{admin}/metrics"));
        }
        if let Some(ports) = self.turn_ports() {
            row("STUN and TURN", &ports);
        }
        page.push_str(&self.code(screen));
        if let Some(note) = self.note() {
            page.push_str(&format!("\n  {}\n", paint("2", note)));
        }
        page.push_str(&format!("\n  {}\n\n", paint("2", "Ctrl-C stops.")));
        page
    }

    /// The ports that a firewall has to let in, such as `3478 (UDP, TCP), 5349 (TLS)`.
    fn turn_ports(&self) -> Option<String> {
        let mut protocols: BTreeMap<u16, Vec<&str>> = BTreeMap::new();
        for (name, addresses) in [("UDP", &self.turn.udp), ("TCP", &self.turn.tcp), ("TLS", &self.turn.tls)] {
            for address in addresses {
                let held = protocols.entry(address.port()).or_default();
                if !held.contains(&name) {
                    held.push(name);
                }
            }
        }
        let ports: Vec<String> =
            protocols.iter().map(|(port, names)| format!("port {port} ({})", names.join(", "))).collect();
        (!ports.is_empty()).then(|| ports.join(", "))
    }

    /// The QR code of the link for other devices, if there is one, it is wanted, and the terminal has room for it.
    fn code(&self, screen: Screen) -> String {
        let link = self.links.to_share().filter(|_| self.qr);
        let Some(code) = link.and_then(TerminalCode::new) else { return String::new() };
        let (columns, rows) = screen.size;
        if code.width() + 2 > columns || code.height() + 8 > rows {
            return String::new();
        }
        let lines: String = code.lines(screen.colours).iter().map(|line| format!("  {line}\n")).collect();
        format!("\n{lines}")
    }

    /// What browsers withhold from pages that come without TLS from another machine.
    fn note(&self) -> Option<&'static str> {
        let share = self.links.to_share()?;
        share
            .starts_with("http://")
            .then_some("Calls work over plain http; browsers keep clipboard and share buttons for https and localhost.")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reach::Interface;

    fn banner(bound: &str) -> Banner {
        let bound: SocketAddr = bound.parse().expect("address");
        let lan = Interface { name: "eth0".to_owned(), address: "192.168.1.20".parse().expect("address") };
        let addresses = |texts: &[&str]| texts.iter().map(|text| text.parse().expect("address")).collect();
        let plain = addresses(&["0.0.0.0:3478", "[::]:3478"]);
        let (tcp, tls) = (addresses(&["[::]:3478"]), addresses(&["[::]:5349"]));
        let turn = TurnAddrs { udp: plain, tcp, tls, alternate: None };
        Banner { links: Links::new(&[bound], None, &[lan]), admin: "127.0.0.1:9464".parse().ok(), turn, qr: true }
    }

    const SCREEN: Screen = Screen { size: (80, 40), colours: false };

    #[test]
    fn programs_get_one_line_for_each_link() {
        assert_eq!(
            banner("[::]:3000").plain(),
            "Listening on http://localhost:3000\nListening on http://192.168.1.20:3000\n"
        );
    }

    #[test]
    fn people_get_links_a_code_and_a_note() {
        insta::assert_snapshot!(banner("[::]:3000").pretty(SCREEN));
    }

    #[test]
    fn who_relays_nothing_says_nothing_of_it() {
        let without = Banner { turn: TurnAddrs::default(), ..banner("[::]:3000") };
        assert!(!without.pretty(SCREEN).contains("TURN"));
    }

    #[test]
    fn a_small_or_unwilling_terminal_gets_no_code() {
        let small = Screen { size: (30, 40), ..SCREEN };
        assert!(!banner("[::]:3000").pretty(small).contains('▀'));
        let unwilling = Banner { qr: false, ..banner("[::]:3000") };
        assert!(!unwilling.pretty(SCREEN).contains('▀'));
    }

    #[test]
    fn a_loopback_server_offers_no_code_and_needs_no_note() {
        insta::assert_snapshot!(banner("127.0.0.1:3000").pretty(SCREEN));
    }
}
