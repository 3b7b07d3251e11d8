//! A program of your own with Switchboard's signalling in it: its page at `/`, the doors under `/signal`, and a guest list.
//!
//! `cargo run -p switchboard-server --example embed`, then open `http://127.0.0.1:8080/?guest=ann` in one tab and
//! `?guest=bob` in another: the two find each other through this program, and talk directly.

use std::net::SocketAddr;

use axum::Router;
use axum::response::Html;
use axum::routing::get;
use http::header::COOKIE;
use switchboard_server::{Config, Events, Hooks, Signalling, Verdict, Visit};

const PAGE: &str = r#"<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Embedded</title>
<p>Others here: <output>nobody</output></p>
<script type="module">
  import { join } from '/signal/switchboard.js'

  const guest = new URLSearchParams(location.search).get('guest')
  document.cookie = `guest=${encodeURIComponent(guest)}; path=/`
  const room = await join('the-party', { name: guest })
  const show = () => {
    const open = [...room.peers.values()].filter(peer => peer.state === 'open')
    document.querySelector('output').value = open.map(peer => peer.name).join(', ') || 'nobody'
  }
  room.on('peerstate', show)
  room.on('peerleft', show)
</script>
"#;

/// Who may come. A real program would look a session up by its cookie, and may take its time.
const GUESTS: [&str; 3] = ["ann", "bob", "cat"];

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let hooks = Hooks::new().authorise(|visit| async move { decide(&visit) });
    let signalling = Signalling::with_hooks(Config::embedded(), hooks)?;
    let watching = tokio::spawn(watch(signalling.events()));

    let app = Router::new().route("/", get(|| async { Html(PAGE) })).nest("/signal", signalling.router());
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8080".to_owned());
    let listener = tokio::net::TcpListener::bind(address).await?;
    println!("Open http://{}/?guest=ann and another tab with ?guest=bob.", listener.local_addr()?);
    let app = app.into_make_service_with_connect_info::<SocketAddr>();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = axum::serve(listener, app).with_graceful_shutdown(async { drop(stopped.await) });
    let serving = tokio::spawn(serving.into_future());

    tokio::signal::ctrl_c().await?;
    // First the switchboard, so that waiting polls and open sockets do not hold up the host's own end.
    signalling.shutdown();
    drop(stop);
    serving.await??;
    signalling.join().await;
    watching.await?;
    Ok(())
}

fn decide(visit: &Visit) -> Verdict {
    let cookies = visit.headers.get(COOKIE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let guest = cookies.split("; ").find_map(|cookie| cookie.strip_prefix("guest="));
    match guest.filter(|guest| GUESTS.contains(guest)) {
        Some(_) => Verdict::Admit,
        None => Verdict::Refuse(format!("This party is for {}.", GUESTS.join(", "))),
    }
}

/// Ends when the signalling is gone.
async fn watch(mut events: Events) {
    while let Some(event) = events.next().await {
        match event {
            Ok(event) => println!("{event:?}"),
            Err(missed) => println!("{missed}"),
        }
    }
}
