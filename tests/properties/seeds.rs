//! Every fuzz target over its seeds.

use std::fs;

use fireguard_test_support::repository;

use crate::fuzz::TARGETS;

#[test]
fn every_target_holds_over_its_seeds() {
    for (name, target) in TARGETS {
        let folder = repository::root().join("tests/fuzz/seeds").join(name);
        let seeds: Vec<_> = fs::read_dir(&folder).unwrap().map(|seed| seed.unwrap().path()).collect();
        assert!(seeds.len() >= 3, "{name} has {} seeds", seeds.len());
        for seed in seeds {
            let bytes = fs::read(&seed).unwrap();
            // Cut short, too: what is valid is only the start.
            for end in 0..=bytes.len() {
                target(&bytes[..end]);
            }
        }
    }
}
