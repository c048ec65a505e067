//! FHIR clients that people use, straight and through Fireguard: only the base URL changes.

use std::path::Path;
use std::process::{Command, Output};

use fireguard_test_support::{install, repository};

use crate::common::World;
use crate::common::normal::Normaliser;
use crate::common::steps::difference;
use crate::common::world::config;

#[tokio::test]
async fn fhirpy() {
    python("fhirpy_client.py", "fhirpy").await;
}

#[tokio::test]
async fn fhirclient_for_python() {
    python("fhirclient_python.py", "fhirclientpy").await;
}

#[tokio::test]
async fn fhir_kit_client() {
    node("fhir_kit_client.mjs", "fhirkit", "fhir-kit-client/dist/index.js").await;
}

#[tokio::test]
async fn fhirclient_for_node() {
    node("fhirclient_node.mjs", "fhirclientjs", "fhirclient/lib/entry/node.js").await;
}

#[tokio::test]
async fn hapi_client() {
    let world = World::start().await;
    let Some(client) = installed(install::java_client(&progress)) else { return };
    let program = scripts().join("java/HapiClient.java");
    same(&world, "hapiclient", |base, mark| client.command(&program).args([base, mark]).output().unwrap());
}

#[tokio::test]
async fn hapi_client_that_speaks_xml() {
    let world = World::with(&config("xml = true\n")).await;
    let Some(client) = installed(install::java_client(&progress)) else { return };
    let program = scripts().join("java/HapiClient.java");
    same(&world, "hapiclientxml", |base, mark| {
        client.command(&program).args([base, mark, "xml"]).output().unwrap()
    });
}

async fn python(script: &str, name: &str) {
    let world = World::start().await;
    let Some(python) = installed(install::python_clients(&progress)) else { return };
    let script = scripts().join(script);
    same(&world, name, |base, mark| Command::new(&python).arg(&script).args([base, mark]).output().unwrap());
}

/// `library` is the module within the package.
async fn node(script: &str, name: &str, library: &str) {
    let world = World::start().await;
    let Some(modules) = installed(install::node_clients(&progress)) else { return };
    let library = format!("file://{}", modules.join(library).display());
    let script = scripts().join(script);
    same(&world, name, |base, mark| {
        Command::new("node").arg(&script).args([base, mark, &library]).output().unwrap()
    });
}

/// Runs a client on both sides and compares what it prints.
fn same(world: &World, name: &str, run: impl Fn(&str, &str) -> Output) {
    let [expected, given] = [("d", world.hapi.base_url()), ("p", &world.base())].map(|(side, base)| {
        let mark = format!("zq{side}-{name}");
        let output = run(base, &mark);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{base}: {errors}");
        let printed = String::from_utf8(output.stdout).unwrap();
        assert!(side == "d" || !printed.contains(world.hidden()), "HAPI's address in {printed}");
        // HAPI repeats in its links what a client asks by, of which Fireguard keeps the format to itself.
        let mut body = Normaliser::new(base, &mark).body(printed.as_bytes());
        for format in ["&_format=xml", "?_format=xml"] {
            body = body.replace(format, "");
        }
        assert!(!body.contains("\"stale\": false"), "{base}: an update of an old version was carried out");
        body
    });
    assert!(expected.len() > 5_000, "it says little: {expected}");
    assert!(expected == given, "differs\n{}", difference(&expected, &given));
}

/// None: an interpreter is missing, which has been said.
pub(crate) fn installed<T>(result: Result<T, install::Error>) -> Option<T> {
    match result {
        Ok(tool) => Some(tool),
        Err(install::Error::Missing { needed, reason }) => {
            println!("skipped: {needed} is needed: {reason}");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

fn scripts() -> std::path::PathBuf {
    Path::new(&repository::root()).join("tests/support/clients")
}

pub(crate) fn progress(step: &str) {
    eprintln!("{step}");
}
