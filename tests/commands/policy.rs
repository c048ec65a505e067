//! `fireguard policy …`

use std::fs;

use fireguard_test_support::repository;

use crate::{fireguard, folder, text};

#[test]
fn the_policies_that_come_with_it_pass_their_cases() {
    let output = fireguard(&repository::root(), &["policy", "test", "policies"]);
    assert!(output.status.success(), "{}", text(&output));
    let schema = fireguard(&repository::root(), &["policy", "schema"]);
    let kept = fs::read_to_string(repository::root().join("policies/fhir.cedarschema")).unwrap();
    assert_eq!(String::from_utf8(schema.stdout).unwrap(), kept);
}

#[test]
fn a_case_that_is_decided_otherwise_fails() {
    let folder = folder();
    fs::create_dir_all(folder.path().join("policies/cases")).unwrap();
    let write = |path: &str, text: &str| fs::write(folder.path().join("policies").join(path), text).unwrap();
    write(
        "a.cedar",
        "@id(\"a\")\npermit(principal in Role::\"r\", action in Action::\"reads\", resource);\n",
    );
    let case = |request: &str, expect: &str| {
        format!(
            "[[case]]\nname = \"c\"\ncaller = {{ roles = [\"r\"] }}\nrequest = {request:?}\nexpect = {expect:?}\n"
        )
    };
    for (cases, passes, says) in [
        (case("GET /Patient/1", "allow"), true, "1 policies, 1 cases, 0 of them otherwise"),
        (case("GET /Patient/1", "deny"), false, "policies/cases/c.toml:2: allow instead of deny: by a"),
        (
            format!("{}{}", case("GET /Patient/1", "allow"), case("DELETE /Patient/1", "allow")),
            false,
            "policies/cases/c.toml:7: deny instead of allow: nothing permits this, by no policy",
        ),
        (case("GET /Patients/1", "allow"), false, "c.toml"),
        (case("GET /Patient/1", "permit"), false, "c.toml"),
        (format!("{}policies = [\"b\"]\n", case("GET /Patient/1", "allow")), false, "[a] instead of [b]"),
        (String::new(), false, "there is no case"),
    ] {
        write("cases/c.toml", &cases);
        let output = fireguard(folder.path(), &["policy", "test"]);
        assert_eq!(output.status.success(), passes, "{cases}: {}", text(&output));
        assert!(text(&output).contains(says), "{cases}: {}", text(&output));
    }
    write("a.cedar", "@id(\"a\")\npermit(principal, action == Action::\"raed\", resource);\n");
    let output = fireguard(folder.path(), &["policy", "test"]);
    assert!(!output.status.success() && text(&output).contains("policies/a.cedar:2:29"), "{}", text(&output));
}

#[test]
fn what_is_decided_is_explained() {
    let folder = folder();
    let write = |path: &str, text: &str| fs::write(folder.path().join(path), text).unwrap();
    fs::create_dir(folder.path().join("policies")).unwrap();
    write(
        "policies/a.cedar",
        "@id(\"own\") @obligation(\"narrow:patient-compartment\")\n\
         permit(principal in Role::\"patient\", action in Action::\"reads\", resource);\n",
    );
    write(
        "claims.json",
        r#"{"sub":"s","scope":"patient/*.rs","patient":"a","realm_access":{"roles":["patient"]}}"#,
    );
    write("mine.json", r#"{"resourceType":"Observation","id":"1","subject":{"reference":"Patient/a"}}"#);
    write("yours.json", r#"{"resourceType":"Observation","id":"2","subject":{"reference":"Patient/b"}}"#);
    let entry = |url: &str, method: &str, resource: &str| {
        format!(r#"{{"request":{{"method":"{method}","url":"{url}"}}{resource}}}"#)
    };
    let put = entry("Observation/1", "PUT", r#","resource":{"resourceType":"Observation","id":"1"}"#);
    write(
        "recorded.txt",
        &format!(
            "POST /fhir HTTP/1.1\r\nHost: h\r\nContent-Type: application/fhir+json\r\n\r\n\
             {{\"resourceType\":\"Bundle\",\"type\":\"batch\",\"entry\":[{},{put}]}}",
            entry("Observation/1", "GET", "")
        ),
    );
    let cases: [(&[&str], &[&str]); 5] = [
        (
            &["--recorded", "recorded.txt", "--claims", "claims.json"],
            &[
                "Entry 0: Observation/1",
                "read Observation/1: allowed",
                "Entry 1",
                "update Observation/1: denied",
            ],
        ),
        (
            &["GET /Observation?code=x", "--claims", "claims.json"],
            &["in the compartment of Patient/a", "by own"],
        ),
        (
            &[
                "GET /Observation/1",
                "--claims",
                "claims.json",
                "--resource",
                "mine.json",
                "--resource",
                "yours.json",
            ],
            &["Observation/1 of Patient/a: allowed", "Observation/2 of Patient/b: denied"],
        ),
        (&["DELETE /Observation/1", "--claims", "claims.json"], &["403", "user/Observation.d"]),
        (&["GET /Patient/1", "--scopes", "user/Tea.r"], &["scope user/Tea.r: grants nothing", "403"]),
    ];
    for (arguments, says) in cases {
        let output = fireguard(folder.path(), &[&["policy", "explain"], arguments].concat());
        assert!(output.status.success(), "{arguments:?}: {}", text(&output));
        for says in says {
            assert!(text(&output).contains(says), "{arguments:?}: {}", text(&output));
        }
    }
}
