//! Conditional create, update, delete.

use crate::common::resources::new_patient;
use crate::common::{Step, World};

const ONE: &str = "identifier=urn:fireguard:mrn%7C{me}-one";
const BY_ONE: &str = "/Patient?identifier=urn:fireguard:mrn%7C{me}-one";
const BY_TWO: &str = "/Patient?identifier=urn:fireguard:mrn%7C{me}-two";

#[tokio::test]
async fn if_none_exist_creates_once() {
    let world = World::start().await;
    let create = |family: &str| Step::post("/Patient", &new_patient("{me}-one", family));
    world
        .compare(
            "none-exist",
            &[
                create("First").with("If-None-Exist", ONE).gives(201).keeps_id("one"),
                create("Second").with("If-None-Exist", ONE),
                create("Whole URL").with("If-None-Exist", "Patient?identifier=urn:fireguard:mrn|{me}-one"),
                Step::get("/Patient/{one}"),
                create("Unconditional").gives(201),
                create("Two match").with("If-None-Exist", ONE).gives(412),
            ],
        )
        .await;
}

#[tokio::test]
async fn conditional_update_and_delete() {
    let world = World::start().await;
    world
        .compare(
            "conditional",
            &[
                Step::put(BY_ONE, &new_patient("{me}-one", "Created")).gives(201),
                Step::put(BY_ONE, &new_patient("{me}-one", "Updated")),
                Step::create("/Patient", &new_patient("{me}-two", "A")),
                Step::create("/Patient", &new_patient("{me}-two", "B")),
                Step::put(BY_TWO, &new_patient("{me}-two", "C")).gives(412),
                Step::delete(BY_TWO).gives(412),
                Step::delete(BY_ONE),
                Step::delete(BY_ONE),
                Step::get("/Patient?identifier=urn:fireguard:mrn%7C{me}-one&_summary=count"),
            ],
        )
        .await;
}
