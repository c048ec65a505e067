//! The demo data against the real server.
#![expect(clippy::unwrap_used, reason = "a helper of a test may fail like the test")]

use std::collections::BTreeSet;

use fireguard_test_support::data::{self, Bundle, Kind, Markers};
use fireguard_test_support::hapi::{Hapi, Options};
use serde_json::Value;

#[tokio::test(flavor = "multi_thread")]
async fn everything_loads_and_its_markers_are_found() {
    let hapi = Hapi::start(Options::default().heap("1g").setting("page.max", "1000")).await.unwrap();
    let base = hapi.base_url().to_owned();
    tokio::task::spawn_blocking(move || {
        let progress = |text: &str| eprintln!("{text}");
        let hand_written = data::hand_written().unwrap();
        let mut bundles = hand_written.clone();
        bundles.extend(data::generated(&progress).unwrap());
        match data::samples().unwrap() {
            Some(samples) => bundles.extend(samples),
            None => eprintln!("the samples beside the repository are not here"),
        }
        let loaded = data::load(&base, &bundles, &progress).unwrap();
        assert_eq!(loaded.bundles, bundles.len());
        let patients = resources(&bundles).filter(|r| r["resourceType"] == "Patient").count();
        assert!(patients > 100, "{patients}");
        assert_eq!(get(&format!("{base}/Patient?_summary=count"))["total"], patients);

        // Loading again changes nothing: tests may share a server.
        data::load(&base, &hand_written, &progress).unwrap();
        let again = get(&format!("{base}/Patient/demo-narrative"));
        assert_eq!(again["meta"]["versionId"], "1");

        // What a server answers without de-identification is full of markers, of every kind and for every
        // patient: otherwise finding none elsewhere would prove nothing.
        let parsed = parsed(&bundles);
        let markers = Markers::of(&parsed).unwrap();
        let answer = get(&format!("{base}/Patient?_count=1000"));
        let mut kinds = BTreeSet::new();
        for entry in answer["entry"].as_array().unwrap() {
            let found = markers.find_in_json(&entry["resource"]);
            let id = &entry["resource"]["id"];
            assert!(found.iter().any(|found| found.marker.kind == Kind::Name), "no name found in {id}");
            assert!(found.iter().any(|found| found.marker.kind == Kind::BirthDate), "no birth date in {id}");
            kinds.extend(found.iter().map(|found| found.marker.kind));
        }
        assert_eq!(kinds.len(), 6, "{kinds:?}");
    })
    .await
    .unwrap();
}

#[test]
fn hand_written_cases_hide_names_where_generators_do_not() {
    let parsed = parsed(&data::hand_written().unwrap());
    let markers = Markers::of(&parsed).unwrap();
    let mut places = BTreeSet::new();
    for bundle in &parsed {
        for found in markers.find_in_json(bundle) {
            if found.marker.kind == Kind::Name {
                // The member that holds it, without array positions.
                let members = found.place.split('/').filter(|part| part.parse::<usize>().is_err());
                places.insert(members.skip(2).collect::<Vec<_>>().join("."));
            }
        }
    }
    for place in [
        "resource.text.div",
        "resource.subject.display",
        "resource.note.text",
        "resource.note.authorString",
        "resource.content.attachment.data#base64",
        "resource.content.attachment.title",
        "resource.content.attachment.url",
        "resource.photo.title",
        "resource.contained.name.family",
        "resource.medicationReference.display",
        "resource.name._family.extension.valueString",
        "resource._effectiveDateTime.extension.valueString",
        "resource._valueString.extension.valueReference.display",
        "resource.code.text",
        "resource.item.answer.valueString",
        "resource.section.text.div",
        "resource.patientInstruction",
        "resource.id",
        "resource.language",
        "resource.meta.profile",
        "resource.meta.tag.code",
        "resource._gender.id",
        "resource.maritalStatus.coding.id",
        "resource.maritalStatus.coding.system",
        "resource.questionnaire",
        "resource.item.linkId",
        "resource.item.item.linkId",
        "resource.item.item.answer.item.linkId",
        "resource.subject.type",
        "resource.valueSampledData.data",
        "resource.payloadMimeType",
        "resource.content.contentType",
        "resource.content.language",
    ] {
        assert!(places.contains(place), "no name in {place}; there are {places:#?}");
    }
}

fn parsed(bundles: &[Bundle]) -> Vec<Value> {
    bundles.iter().map(|bundle| serde_json::from_slice(&bundle.json).unwrap()).collect()
}

fn resources(bundles: &[Bundle]) -> impl Iterator<Item = Value> {
    parsed(bundles).into_iter().flat_map(|mut bundle| {
        let entries = std::mem::take(bundle["entry"].as_array_mut().unwrap());
        entries.into_iter().map(|mut entry| entry["resource"].take())
    })
}

fn get(url: &str) -> Value {
    let mut response = ureq::get(url).call().unwrap();
    serde_json::from_reader(response.body_mut().as_reader()).unwrap()
}
