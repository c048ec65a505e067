//! Write Fireguard plugins in Rust.
//!
//! A plugin is a type that implements [`Plugin`], given to [`export!`]. The host calls `configure` once for
//! each instance and `process` with the resources of each body. What a plugin may ask of the host is behind
//! [`Host`], so the same code runs in a native test against [`testing::TestHost`].
//!
//! Resources are bytes. [`json::transform`] rewrites them and copies what nothing touches, many times faster
//! than a tree of values, and without changing a digit or a space elsewhere.
//!
//! ```
//! use fireguard_sdk::json::{self, Step};
//! use fireguard_sdk::{Direction, Exchange, Host, Plan, Plugin, Problem, Settings, Verdict};
//!
//! /// Takes telephone numbers and photographs out of what is read.
//! struct NoContact;
//!
//! impl Plugin for NoContact {
//!     fn configure(settings: Settings) -> Result<(Self, Plan), Vec<Problem>> {
//!         settings.refuse_unknown(&[])?;
//!         Ok((Self, Plan::new([Direction::ToClient]).of_types(["Patient", "Practitioner"])))
//!     }
//!
//!     fn process(&mut self, _: &dyn Host, _: &Exchange, _: Direction, resources: &[Vec<u8>]) -> Vec<Verdict> {
//!         let rewrite = |resource: &Vec<u8>| {
//!             let outcome = json::transform(resource, |path, _, _| match path {
//!                 "telecom" | "photo" | "contact.telecom" => Step::Drop,
//!                 "contact" => Step::Enter(()),
//!                 _ => Step::Keep,
//!             });
//!             Verdict::of_rewrite(resource, outcome)
//!         };
//!         resources.iter().map(rewrite).collect()
//!     }
//! }
//!
//! fireguard_sdk::export!(NoContact);
//!
//! # fn main() {
//! // And a test of it:
//! use fireguard_sdk::testing::TestHost;
//!
//! let resource = br#"{"resourceType":"Patient","telecom":[{"value":"555"}],"weight":1.50}"#.to_vec();
//! let exchange = Exchange { id: "1".into(), route: "fhir".into(), interaction: "read".into() };
//! let verdicts = NoContact.process(&TestHost::new(), &exchange, Direction::ToClient, &[resource]);
//! assert_eq!(verdicts, [Verdict::Replace(br#"{"resourceType":"Patient","weight":1.50}"#.to_vec())]);
//! # }
//! ```
//!
//! Build it as a `cdylib` with `cargo build --target wasm32-wasip2 --release`: the result is a component. A plugin
//! with settings reads them with [`Settings::read`]. `docs/plugin-author` goes from an empty folder to a running
//! plugin.

#![forbid(unsafe_code)]

mod contract;
mod host;
mod settings;

#[cfg(target_family = "wasm")]
#[doc(hidden)]
pub mod guest;
#[cfg(not(target_family = "wasm"))]
pub mod testing;

pub use contract::{Direction, Edit, Exchange, File, Plan, Plugin, Problem, Refusal, Settings, Verdict};
pub use fireguard_fhir as fhir;
pub use fireguard_fhir::json;
pub use host::{Host, HostError, Level};

/// Makes a type that implements [`Plugin`] the component's exports. Once in a crate; outside WebAssembly it
/// is nothing.
///
/// The compiler does not count what this expands to as unsafe code of the crate that calls it, so a plugin
/// can forbid unsafe code.
#[macro_export]
macro_rules! export {
    ($plugin:ty) => {
        #[cfg(target_family = "wasm")]
        const _: () = {
            ::std::thread_local! {
                static PLUGIN: $crate::guest::Instance<$plugin> = const { $crate::guest::Instance::new() };
            }

            struct Component;

            impl $crate::guest::setup::Guest for Component {
                fn configure(
                    settings: ::std::string::String,
                    files: ::std::vec::Vec<$crate::guest::setup::File>,
                ) -> ::std::result::Result<
                    $crate::guest::setup::Plan,
                    ::std::vec::Vec<$crate::guest::setup::Problem>,
                > {
                    PLUGIN.with(|plugin| plugin.configure(settings, files))
                }
            }

            impl $crate::guest::resources::Guest for Component {
                fn process(
                    exchange: $crate::guest::resources::Exchange,
                    direction: $crate::guest::resources::Direction,
                    resources: ::std::vec::Vec<::std::vec::Vec<u8>>,
                ) -> ::std::vec::Vec<$crate::guest::resources::Verdict> {
                    PLUGIN.with(|plugin| plugin.process(exchange, direction, &resources))
                }
            }

    $crate::guest::bindings::export_component!(Component with_types_in $crate::guest::bindings);
        };
    };
}
