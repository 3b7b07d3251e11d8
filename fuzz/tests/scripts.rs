//! Random scripts for the targets that read their input as choices: what a fuzzer would find in its first minute, found
//! without one, the same on every run. `SCRIPTS=40000 cargo test --release --test scripts oracle` runs more of one.

use rand::rngs::StdRng;
use rand::{Rng as _, RngCore as _, SeedableRng as _};
use switchboard_fuzz::TARGETS;

/// Inputs for each target, where the environment names no other number; in all some seconds.
const INPUTS: u64 = 1_000;

fn every_random_script_holds(name: &str) {
    let inputs = std::env::var("SCRIPTS").map_or(INPUTS, |inputs| inputs.parse().expect("a number of scripts"));
    let target = TARGETS.iter().find(|target| target.name == name).expect("a target");
    for seed in 0..inputs {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut input = vec![0; rng.random_range(1..400)];
        rng.fill_bytes(&mut input);
        // Small choices lead further than wild ones.
        if seed % 2 == 0 {
            input.iter_mut().for_each(|byte| *byte %= 16);
        }
        // Printed only when the test fails, and then it names the input.
        println!("{name} with seed {seed}: {input:02x?}");
        (target.run)(&input);
    }
}

#[test]
fn client() {
    every_random_script_holds("turn_client");
}

#[test]
fn discovery() {
    every_random_script_holds("turn_discovery");
}

#[test]
fn stranger() {
    every_random_script_holds("turn_stranger");
}

#[test]
fn user() {
    every_random_script_holds("turn_user");
}

#[test]
fn oracle() {
    every_random_script_holds("turn_oracle");
}

#[test]
fn stream() {
    every_random_script_holds("turn_stream");
}

#[test]
fn framing() {
    every_random_script_holds("turn_framing");
}
