//! The attacks, in the groups of the catalogue.

mod joins;
mod parameters;
mod resources;
mod tokens;
mod transport;
mod writes;

use crate::attack::Attack;

/// All of them.
pub(crate) fn all() -> Vec<Attack> {
    [parameters::all(), joins::all(), resources::all(), tokens::all(), transport::all(), writes::all()]
        .concat()
}

/// What a group is about.
pub(crate) fn title(group: u8) -> &'static str {
    match group {
        1 => "parameters that conflict, lists, forms of references",
        2 => "modifiers, names written otherwise",
        3 => "joins, chains, totals, orders",
        4 => "elements that hide whose it is",
        5 => "compartments, types outside of them, operations",
        6 => "old versions, what is deleted, what is within",
        7 => "scopes",
        8 => "tokens",
        9 => "bodies that two readers read differently",
        10 => "HTTP",
        11 => "what status, size and time tell",
        _ => "",
    }
}
