//! What the suites share: a HAPI, a Fireguard before it, steps that are taken on both.

pub(crate) mod normal;
pub(crate) mod raw;
pub(crate) mod resources;
pub(crate) mod steps;
pub(crate) mod world;

pub(crate) use steps::Step;
pub(crate) use world::World;
