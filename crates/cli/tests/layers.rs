//! Which layer goes before which, and what each says when it is wrong.

mod common;

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use common::{Serving, run, switchboard, text};
use tempfile::TempDir;

/// A directory with a configuration file.
fn file(content: &str) -> (TempDir, PathBuf) {
    let directory = TempDir::new().expect("directory");
    let path = directory.path().join("switchboard.toml");
    fs::write(&path, content).expect("written");
    (directory, path)
}

/// Standard output of a program that must succeed.
fn output(command: &mut Command) -> String {
    let output = command.output().expect("runs");
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout)
}

/// The complaint and the exit code of `switchboard check-config` over this file, its path shortened.
fn complaint(content: &str) -> String {
    let (_directory, path) = file(content);
    let output = switchboard().arg("check-config").arg("--config").arg(&path).output().expect("runs");
    let stderr = text(&output.stderr).replace(&path.display().to_string(), "switchboard.toml");
    format!("{stderr}exit code {}", output.status.code().expect("a code"))
}

#[test]
fn file_then_environment_then_flags() {
    let (_directory, path) = file("listen = 1\n[limits]\nrooms = 11\nroom_members = 12\n");
    let mut command = switchboard();
    command.arg("config").arg("--config").arg(&path);
    assert!(output(&mut command).contains("\nlisten = [\"[::]:1\"]\n"));
    command.env("SWITCHBOARD_LISTEN", "127.0.0.1:2").env("SWITCHBOARD_LIMITS__ROOMS", "21").env("PORT", "9");
    let printed = output(&mut command);
    assert!(printed.contains("\nlisten = [\"127.0.0.1:2\"]\n"));
    assert!(printed.contains("# Set by environment variable SWITCHBOARD_LIMITS__ROOMS\nrooms = 21\n"));
    command.args(["--listen", "3", "--listen", "127.0.0.1:4", "--set", "limits.rooms=31"]);
    let printed = output(&mut command);
    assert!(printed.contains("# Set by --listen\nlisten = [\"[::]:3\", \"127.0.0.1:4\"]\n"));
    assert!(printed.contains("rooms = 31\n"));
    assert!(printed.contains("room_members = 12\n"));
    assert!(printed.contains("rooms_per_peer = 8\n"));
}

#[test]
fn the_environment_names_the_file_and_the_flag_another() {
    let (_one, one) = file("qr = false\n");
    let (_two, two) = file("drain_timeout = \"1s\"\n");
    let mut command = switchboard();
    command.arg("check-config").env("SWITCHBOARD_CONFIG", &one);
    assert!(output(&mut command).contains(one.to_str().expect("UTF-8")));
    command.arg("--config").arg(&two);
    assert!(output(&mut command).contains(two.to_str().expect("UTF-8")));
}

#[test]
fn port_replaces_the_default_alone() {
    let printed = output(switchboard().arg("config").env("PORT", "8080"));
    assert!(printed.contains("listen = [\"[::]:8080\"]\n"));
    let printed = output(switchboard().args(["config", "--listen", "1"]).env("PORT", "8080"));
    assert!(printed.contains("listen = [\"[::]:1\"]\n"));
}

#[test]
fn what_is_printed_can_be_loaded_and_prints_the_same_values() {
    let (_directory, given) =
        file("origins = \"*\"\nice_servers = [{ urls = \"stun:stun.example.org\" }]\n[log]\nfilter = \"warn\"\n");
    let values = |page: &str| page.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>().join("\n");
    let first = output(switchboard().arg("config").arg("--config").arg(&given));
    let (_printed, printed) = file(&first);
    let second = output(switchboard().arg("config").arg("--config").arg(&printed));
    assert_eq!(values(&first), values(&second));
    let defaults = output(switchboard().args(["config", "--default"]));
    let (_printed, printed) = file(&defaults);
    assert_eq!(values(&output(switchboard().arg("config").arg("--config").arg(&printed))), values(&defaults));
}

#[test]
fn what_is_printed_is_a_configuration_to_start_with() {
    let secret = "6f3e0b9d1c2a48577e6c0f1b2d3a4958";
    for arguments in [&["config"][..], &["config", "--default"], &["config", "--listen", "1", "--show-secrets"]] {
        let mut command = switchboard();
        if arguments.contains(&"--show-secrets") {
            command.env("SWITCHBOARD_TURN__SECRET", secret);
        }
        let (_printed, printed) = file(&output(command.args(arguments)));
        let checked = output(switchboard().arg("check-config").arg("--config").arg(&printed));
        assert!(checked.starts_with("The configuration is valid"), "{checked}");
        let path = printed.to_str().expect("UTF-8");
        let mut server = Serving::start(&["--config", path, "--admin-listen", "none"]);
        assert_ne!(server.address(), "");
    }
}

#[test]
fn what_no_server_could_start_with_is_not_printed() {
    for assignment in ["turn.tls_listen=443", "turn.certificate=/nonexistent.pem", "listen=[]"] {
        let output = run(&["config", "--set", assignment]);
        assert_eq!((output.status.code(), text(&output.stdout).as_str()), (Some(2), ""), "{assignment}");
        assert!(text(&output.stderr).starts_with("error: --set: "), "{}", text(&output.stderr));
    }
}

#[test]
fn secrets_are_shown_on_demand_alone() {
    let entry = "ice_servers = [{ urls = \"turn:a.example\", username = \"ann\", credential = \"hunter2\" }]\n";
    let (_directory, path) = file(entry);
    let mut command = switchboard();
    command.arg("config").arg("--config").arg(&path);
    let printed = output(&mut command);
    assert!(!printed.contains("hunter2") && printed.contains("credential = \"***\""));
    assert!(output(command.arg("--show-secrets")).contains("credential = \"hunter2\""));
    let mut command = switchboard();
    let secret = "6f3e0b9d1c2a48577e6c0f1b2d3a4958";
    for name in ["SECRET", "PREVIOUS_SECRET", "API_TOKENS"] {
        command.env(format!("SWITCHBOARD_TURN__{name}"), secret);
    }
    command.env("SWITCHBOARD_TURN__USERS", format!("[{{ name = \"ann\", password = \"{secret}\" }}]"));
    let printed = output(command.arg("config"));
    assert!(!printed.contains(secret) && printed.contains("users = [{ name = \"ann\", password = \"***\" }]"));
    assert_eq!(output(command.arg("--show-secrets")).matches(secret).count(), 4);
}

#[test]
fn mistakes_in_a_file_have_line_column_and_advice() {
    insta::assert_snapshot!("file_unknown_key", complaint("[limits]\nroms = 3\n"));
    insta::assert_snapshot!("file_wrong_type", complaint("\n  qr = \"yes\"\n"));
    insta::assert_snapshot!("file_out_of_range", complaint("[limits]\nroom_members = 1\n"));
    insta::assert_snapshot!("file_several", complaint("lsiten = 1\n[limits]\ngrace = 30\nqueue_bytes = \"1KiB\"\n"));
    insta::assert_snapshot!("file_syntax", complaint("listen = [\n"));
    insta::assert_snapshot!("file_nowhere_to_listen", complaint("listen = []\n"));
}

#[test]
fn mistakes_about_turn_are_told_too() {
    let mistakes = "[turn]\nsecret = \"hunter2\"\n  users = [{ name = \"ann\", password = \"x\" }]\n\
                    relay_addresses = \"203.0.113.7/24\"\nrelay_ports = 50000\nmin_integrity = \"sha-1\"\n\
                    credential_lifetime = \"2d\"\napi_tokens = 7\n";
    insta::assert_snapshot!("turn_mistakes", complaint(mistakes));
    insta::assert_snapshot!("turn_without_key", complaint("[turn]\ncertificate = \"/dev/null\"\n"));
    insta::assert_snapshot!("turn_without_certificate", complaint("[turn]\ntls_listen = 443\n"));
}

#[test]
fn mistakes_in_the_environment_name_the_variable() {
    let output = switchboard()
        .arg("check-config")
        .env("SWITCHBOARD_LIMITS_ROOMS", "3")
        .env("SWITCHBOARD_LOG__FILTER", "inof")
        .output()
        .expect("runs");
    insta::assert_snapshot!("environment", text(&output.stderr));
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn mistakes_on_the_command_line_name_the_flag() {
    let output = run(&["check-config", "--listen", "localhost:80", "--set", "limits.room=3"]);
    insta::assert_snapshot!("flags", text(&output.stderr));
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(run(&["--lsiten", "3"]).status.code(), Some(2));
    assert_eq!(run(&["sreve"]).status.code(), Some(2));
}

#[test]
fn a_file_that_cannot_be_read_is_told_by_its_path() {
    let output = run(&["check-config", "--config", "/nonexistent/switchboard.toml"]);
    insta::assert_snapshot!("missing_file", text(&output.stderr));
    assert_eq!(output.status.code(), Some(2));
    let output = run(&["check-config", "--config", "/"]);
    insta::assert_snapshot!("directory", text(&output.stderr));
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn a_reader_that_has_had_enough_is_no_failure() {
    let mut child = switchboard().arg("config").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starts");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("ends");
    assert_eq!((output.status.code(), text(&output.stderr).as_str()), (Some(0), ""));
}

#[test]
fn version_completions_and_manual_are_printed() {
    assert!(text(&run(&["version"]).stdout).starts_with("switchboard "));
    assert!(text(&run(&["version", "--json"]).stdout).starts_with("{\"name\":\"switchboard\","));
    assert!(text(&run(&["completions", "bash"]).stdout).contains("--listen"));
    assert!(text(&run(&["man"]).stdout).contains(".TH switchboard"));
}
