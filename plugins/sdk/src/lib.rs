//! Write Fireguard plugins in Rust.
//!
//! A plugin is a type that implements [`Plugin`] and a trait for each phase it takes part in ([`Request`],
//! [`Resources`], [`Written`], [`Ingest`]), given to [`export!`] with the names of these phases. The host calls
//! `configure` before anything else, and a phase's function for what the plan asks to see. What a plugin may ask of
//! the host is behind [`Host`], so the same code runs in a native test against [`testing::TestHost`].
//!
//! Resources are bytes. [`json::transform`] rewrites them and copies what nothing touches, many times faster
//! than a tree of values, and without changing a digit or a space elsewhere.
//!
//! ```
//! use fireguard_sdk::json::{self, Step};
//! use fireguard_sdk::{
//!     Direction, Exchange, Host, Interest, Item, Plan, Plugin, Problem, Resources, Settings, Verdict,
//! };
//!
//! /// Takes telephone numbers and photographs out of what is read.
//! struct NoContact;
//!
//! impl Plugin for NoContact {
//!     fn configure(settings: Settings) -> Result<(Self, Plan), Vec<Problem>> {
//!         settings.refuse_unknown(&[])?;
//!         let people = Interest::resources([Direction::ToClient]).of_types(["Patient", "Practitioner"]);
//!         Ok((Self, Plan::new([people])))
//!     }
//! }
//!
//! impl Resources for NoContact {
//!     fn resources(&mut self, _: &dyn Host, _: &Exchange, _: Direction, items: &[Item]) -> Vec<Verdict> {
//!         let rewrite = |item: &Item| {
//!             let outcome = json::transform(&item.content, |path, _, _| match path {
//!                 "telecom" | "photo" | "contact.telecom" => Step::Drop,
//!                 "contact" => Step::Enter(()),
//!                 _ => Step::Keep,
//!             });
//!             Verdict::of_rewrite(&item.content, outcome)
//!         };
//!         items.iter().map(rewrite).collect()
//!     }
//! }
//!
//! fireguard_sdk::export!(NoContact: Resources);
//!
//! # fn main() {
//! // And a test of it:
//! use fireguard_sdk::testing::TestHost;
//!
//! let item = Item::new(*br#"{"resourceType":"Patient","telecom":[{"value":"555"}],"weight":1.50}"#);
//! let verdicts = NoContact.resources(&TestHost::new(), &Exchange::of("read"), Direction::ToClient, &[item]);
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
mod phase;
mod settings;

#[cfg(target_family = "wasm")]
#[doc(hidden)]
pub mod guest;
#[cfg(not(target_family = "wasm"))]
pub mod testing;

pub use contract::{File, Interest, Plan, Plugin, Problem, Refusal, Settings};
pub use fireguard_fhir as fhir;
pub use fireguard_fhir::json;
pub use host::{Coding, Entry, Host, HostError, HttpRequest, HttpResponse, Level, Match};
pub use phase::{
    Action, Answer, Direction, Edit, Event, Exchange, Field, Head, Ingest, Item, Message, MessageProblem,
    Request, Resources, Settled, Verdict, Written,
};

/// Makes a type that implements [`Plugin`] the component's exports, for the phases named after it:
/// `export!(MyPlugin: Request, Resources)`. Once in a crate; outside WebAssembly it only checks that the type
/// implements these traits.
///
/// The compiler does not count what this expands to as unsafe code of the crate that calls it, so a plugin
/// can forbid unsafe code.
#[macro_export]
macro_rules! export {
    ($plugin:ty: $($phase:ident),+ $(,)?) => {
        $(#[cfg(not(target_family = "wasm"))]
        const _: () = {
            const fn implements<P: $crate::$phase>() {}
            implements::<$plugin>();
        };)+

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

            $crate::guest::bindings::setup::export_setup!(
                Component with_types_in $crate::guest::bindings::setup
            );

            $($crate::export_phase!($phase, Component, PLUGIN);)+
        };
    };
}

/// One phase of [`export!`].
#[doc(hidden)]
#[macro_export]
macro_rules! export_phase {
    (Request, $component:ident, $plugin:ident) => {
        impl $crate::guest::request::Guest for $component {
            fn process(
                exchange: $crate::guest::request::Exchange,
                head: $crate::guest::request::Head,
            ) -> $crate::guest::request::Action {
                $plugin.with(|plugin| plugin.request(exchange, head))
            }
        }

        $crate::guest::bindings::request::export_request!(
            $component with_types_in $crate::guest::bindings::request
        );
    };
    (Resources, $component:ident, $plugin:ident) => {
        impl $crate::guest::resources::Guest for $component {
            fn process(
                exchange: $crate::guest::resources::Exchange,
                direction: $crate::guest::resources::Direction,
                resources: ::std::vec::Vec<$crate::guest::resources::Item>,
            ) -> ::std::vec::Vec<$crate::guest::resources::Verdict> {
                $plugin.with(|plugin| plugin.resources(exchange, direction, resources))
            }
        }

        $crate::guest::bindings::resources::export_resources!(
            $component with_types_in $crate::guest::bindings::resources
        );
    };
    (Written, $component:ident, $plugin:ident) => {
        impl $crate::guest::written::Guest for $component {
            fn process(
                events: ::std::vec::Vec<$crate::guest::written::Event>,
            ) -> ::std::vec::Vec<$crate::guest::written::Settled> {
                $plugin.with(|plugin| plugin.written(events))
            }
        }

        $crate::guest::bindings::written::export_written!(
            $component with_types_in $crate::guest::bindings::written
        );
    };
    (Ingest, $component:ident, $plugin:ident) => {
        impl $crate::guest::ingest::Guest for $component {
            fn process(
                exchange: $crate::guest::ingest::Exchange,
                messages: ::std::vec::Vec<$crate::guest::ingest::Message>,
            ) -> ::std::vec::Vec<
                ::std::result::Result<
                    ::std::vec::Vec<::std::vec::Vec<u8>>,
                    $crate::guest::ingest::Problem,
                >,
            > {
                $plugin.with(|plugin| plugin.ingest(exchange, messages))
            }
        }

        $crate::guest::bindings::ingest::export_ingest!(
            $component with_types_in $crate::guest::bindings::ingest
        );
    };
}
