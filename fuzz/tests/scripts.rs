//! Random scripts for the targets that read their input as choices: what a fuzzer would find in its first minute, found
//! without one, the same on every run.

use rand::rngs::StdRng;
use rand::{Rng as _, RngCore as _, SeedableRng as _};
use switchboard_fuzz::TARGETS;

/// Inputs for each target; in all some seconds.
const INPUTS: u64 = 1_000;
/// Targets for which nearly every byte string is a sensible script.
const SCRIPTED: &[&str] =
    &["turn_client", "turn_discovery", "turn_stranger", "turn_user", "turn_oracle", "turn_stream"];

#[test]
fn every_random_script_holds() {
    for name in SCRIPTED {
        let target = TARGETS.iter().find(|target| target.name == *name).expect("a target");
        for seed in 0..INPUTS {
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
}
