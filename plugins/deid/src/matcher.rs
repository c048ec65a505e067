//! Which rule applies to a node: a deterministic automaton, built as far as resources need it.
//!
//! The original applies its rules one after the other, and whatever a rule has touched, with all below it,
//! is closed to later ones. That comes to: *a node gets the first rule, in file order, among those that
//! select the node itself or anything above it in the same resource.* So one pass from the top suffices. A
//! state says how far the pass is in every path, and which rule is the first so far; a property name leads
//! to the next state, and is looked up by its hash.

mod states;
mod table;
mod tries;

pub(crate) use states::{Action, Leaf, Matcher, Place, PlainPrimitive, StateId, Target, TargetId, Tells};
pub(crate) use tries::RuleId;
