//! `switchboard credentials`, as a person and as a program read it.

mod common;

use common::{switchboard, text};

const SECRET: &str = "6f3e0b9d1c2a48577e6c0f1b2d3a4958";

#[test]
fn prints_a_set_that_is_signed_with_the_secret() {
    let mut command = switchboard();
    command.env("SWITCHBOARD_TURN__SECRET", SECRET).args(["credentials", "--json", "--user", "ann"]);
    let output = command.args(["--host", "turn.example.org", "--lifetime", "10m"]).output().expect("runs");
    assert!(output.status.success(), "{}", text(&output.stderr));
    let set: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let expires = set["expires"].as_u64().expect("a time");
    assert_eq!(set["username"], format!("{expires}:ann"));
    assert_eq!(set["lifetimeSeconds"], 600);
    let turn = &set["configuration"]["iceServers"][1];
    assert_eq!((&turn["username"], &turn["credential"]), (&set["username"], &set["password"]));
    assert_eq!(turn["urls"][0], "turn:turn.example.org:3478?transport=udp");
    assert!(!text(&output.stdout).contains(SECRET) && output.stderr.is_empty());
}

#[test]
fn people_get_lines() {
    let mut command = switchboard();
    command.env("SWITCHBOARD_TURN__SECRET", SECRET).args(["credentials", "--host", "turn.example.org"]);
    let printed = text(&command.output().expect("runs").stdout);
    assert!(printed.starts_with("username  ") && printed.contains("\n\nstun:turn.example.org:3478\n"), "{printed}");
}

#[test]
fn without_a_secret_it_says_that_one_must_be_set() {
    let output = switchboard().arg("credentials").output().expect("runs");
    insta::assert_snapshot!("without_a_secret", text(&output.stderr));
    assert_eq!((output.status.code(), text(&output.stdout).as_str()), (Some(2), ""));
}
