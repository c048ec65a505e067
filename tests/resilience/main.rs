//! What Fireguard does when clients, the FHIR server or plugins misbehave: the real binary before a stand-in
//! that fails on purpose.
#![forbid(unsafe_code)]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a helper of a test may fail like the test, and says what it skips"
)]

mod answers;
mod asking;
mod audit;
mod batches;
mod bodies;
mod browsers;
mod certificates;
mod confined;
mod confined_entries;
mod cores;
mod credentials;
mod crowds;
mod decisions;
mod decoded;
mod encodings;
mod entries;
mod errors;
mod exactly_once;
mod framing;
mod h2spec;
mod headers;
mod http;
mod hygiene;
mod kept;
mod leaks;
mod limits;
mod load;
mod metadata;
mod phases;
mod plugins;
mod policies;
mod rate;
mod reload;
mod repeats;
mod replicas;
mod rig;
mod silence;
mod stalls;
mod tokens;
mod users;
mod volume;
mod words;
mod written;
mod xml;
