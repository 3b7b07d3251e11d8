//! Asks a Switchboard for its STUN and TURN servers and for credentials, as a page does: in a room of its own
//! (`docs/protocol/rooms.md`).

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::handshake::client::Request;
use tokio_tungstenite::tungstenite::http::header::ORIGIN;
use tokio_tungstenite::tungstenite::http::{HeaderValue, StatusCode};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use super::fault::{Fault, TlsFault};
use super::link::fault_of;
use super::probe::Account;
use super::target::{Carrier, Site, Uri};
use super::tls::Trust;

/// How long the introduction may take.
const LIMIT: Duration = Duration::from_secs(5);

/// Largest message that is read; the server's own stay far below.
const MESSAGE_BYTES: usize = 256 * 1024;

/// A server that pages are told, with the credentials for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Offer {
    /// The server.
    pub(crate) uri: Uri,
    /// The credentials, if it has some.
    pub(crate) account: Option<Account>,
}

/// An `RTCIceServer`.
#[derive(Deserialize)]
struct IceServer {
    urls: Urls,
    username: Option<String>,
    credential: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Urls {
    One(String),
    Many(Vec<String>),
}

/// Enters a room, takes what members get, and leaves.
pub(crate) async fn introduce(site: &Site, trust: &Trust) -> Result<Vec<Offer>, Fault> {
    let offers = timeout(LIMIT, introduce_patiently(site, trust)).await.map_err(|_| Fault::Silent)??;
    if offers.is_empty() { Err(Fault::NothingOffered) } else { Ok(offers) }
}

async fn introduce_patiently(site: &Site, trust: &Trust) -> Result<Vec<Offer>, Fault> {
    let tcp = connect(site).await?;
    if !site.secure {
        return converse(site, tcp).await;
    }
    let stream = trust
        .connect(&site.host, tcp)
        .await
        .map_err(|fault| if fault == Fault::Tls(TlsFault::NotTls) { Fault::Tls(TlsFault::NotHttps) } else { fault });
    converse(site, stream?).await
}

/// Connects to the first address that answers.
async fn connect(site: &Site) -> Result<TcpStream, Fault> {
    let no_address = || Fault::NoAddress { host: site.host.clone() };
    let addresses = lookup_host((site.host.as_str(), site.port)).await.map_err(|_| no_address())?;
    let mut last = no_address();
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = fault_of(&error),
        }
    }
    Err(last)
}

async fn converse<S: AsyncRead + AsyncWrite + Unpin>(site: &Site, stream: S) -> Result<Vec<Offer>, Fault> {
    let config = WebSocketConfig::default().max_message_size(Some(MESSAGE_BYTES));
    let opening = opening(site).map_err(fault)?;
    let (mut socket, _) =
        client_async_with_config(opening, stream, Some(config)).await.map_err(|error| match error {
            Error::Http(answer) if answer.status() == StatusCode::FORBIDDEN => {
                Fault::OriginRefused { origin: site.origin() }
            }
            other => fault(other),
        })?;
    say(&mut socket, &json!({ "type": "hello", "v": 1, "name": "doctor" })).await?;
    let welcome = hear(&mut socket, "welcome").await?;
    say(&mut socket, &json!({ "type": "join" })).await?;
    let joined = hear(&mut socket, "joined").await?;
    // What was learned stands, however the goodbye goes.
    let _ = say(&mut socket, &json!({ "type": "bye" })).await;
    let servers = [&joined, &welcome].into_iter().find_map(|message| message.get("iceServers"));
    offers(servers.cloned().unwrap_or_default())
}

/// What a page of this site would send: its origin too, so that it shows whether pages are let in (RFC 6455 §4.1).
fn opening(site: &Site) -> Result<Request, Error> {
    // The scheme is `ws` or `wss`, and `http` and `https` are their like.
    let url = site.to_string().replacen("http", "ws", 1) + "/ws";
    let mut request = url.into_client_request()?;
    request.headers_mut().insert(ORIGIN, HeaderValue::from_str(&site.origin())?);
    Ok(request)
}

async fn say<S>(socket: &mut WebSocketStream<S>, message: &Value) -> Result<(), Fault>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    socket.send(Message::text(message.to_string())).await.map_err(fault)
}

/// Waits for the message of this type.
async fn hear<S>(socket: &mut WebSocketStream<S>, kind: &str) -> Result<Value, Fault>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    while let Some(message) = socket.next().await {
        let Message::Text(text) = message.map_err(fault)? else { continue };
        let value: Value = serde_json::from_str(&text).map_err(|_| not_switchboard("it does not speak JSON"))?;
        match value.get("type").and_then(Value::as_str) {
            Some(found) if found == kind => return Ok(value),
            Some("error" | "goodbye") => {
                return Err(not_switchboard(value.get("message").and_then(Value::as_str).unwrap_or("it says goodbye")));
            }
            _ => {}
        }
    }
    Err(Fault::Closed)
}

fn offers(servers: Value) -> Result<Vec<Offer>, Fault> {
    if servers.is_null() {
        return Ok(Vec::new());
    }
    let servers: Vec<IceServer> =
        serde_json::from_value(servers).map_err(|_| not_switchboard("its list of servers cannot be read"))?;
    let mut offers = Vec::new();
    for IceServer { urls, username, credential } in servers {
        let account = username.zip(credential).map(|(username, password)| Account { username, password });
        let urls = match urls {
            Urls::One(url) => vec![url],
            Urls::Many(urls) => urls,
        };
        for url in urls {
            let mut uri = Uri::parse(&url).map_err(|error| Fault::BadAnswer(format!("the server offers {error}")))?;
            // What browsers use where a URI leaves it open.
            uri.carrier.get_or_insert(Carrier::Udp);
            offers.push(Offer { uri, account: account.clone() });
        }
    }
    Ok(offers)
}

fn not_switchboard(what: &str) -> Fault {
    Fault::NotSwitchboard(what.to_owned())
}

fn fault(error: Error) -> Fault {
    match error {
        Error::Io(error) => fault_of(&error),
        Error::ConnectionClosed | Error::AlreadyClosed => Fault::Closed,
        Error::Http(response) => Fault::NotSwitchboard(format!("the answer is {}", response.status())),
        other => Fault::NotSwitchboard(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::target::Target;
    use super::*;

    #[test]
    fn it_asks_as_a_page_of_the_site_does() {
        for (link, url, origin) in [
            ("https://example.org", "wss://example.org/ws", "https://example.org"),
            ("http://[::1]:3000/calls/", "ws://[::1]:3000/calls/ws", "http://[::1]:3000"),
        ] {
            let Target::Switchboard(site) = Target::parse(&[link.to_owned()]).expect("a target") else {
                panic!("{link}")
            };
            let opening = opening(&site).expect("a request");
            assert_eq!(
                (opening.uri().to_string().as_str(), &opening.headers()[ORIGIN]),
                (url, &HeaderValue::from_static(origin))
            );
        }
    }

    #[test]
    fn servers_come_with_one_or_many_urls() {
        let servers = json!([
            { "urls": "stun:a:3478" },
            { "urls": ["turn:a?transport=udp", "turns:a"], "username": "1:ann", "credential": "secret" },
        ]);
        let offers = offers(servers).expect("offers");
        let relays: Vec<bool> = offers.iter().map(|offer| offer.uri.relays).collect();
        assert_eq!(relays, [false, true, true]);
        assert_eq!(offers[0].account, None);
        assert_eq!(offers[2].account.as_ref().map(|account| account.username.as_str()), Some("1:ann"));
    }

    #[test]
    fn a_list_that_makes_no_sense_is_a_fault() {
        assert!(offers(json!([{ "urls": 5 }])).is_err());
        assert!(offers(json!([{ "urls": "http://a" }])).is_err());
        assert_eq!(offers(Value::Null), Ok(Vec::new()));
    }
}
