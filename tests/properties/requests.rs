//! Real transactions are what the strict reader of entries takes, wherever the stream is cut.

use fireguard_fhir::bundle::requests::Requests;
use serde_json::Value;

use crate::samples::bundles;

#[test]
fn every_sample_transaction_is_understood() {
    for sample in bundles() {
        let bundle: Value = serde_json::from_slice(&sample.bytes).unwrap();
        if !matches!(bundle["type"].as_str(), Some("batch" | "transaction")) {
            continue;
        }
        for size in [1021, 65_536, sample.bytes.len()] {
            let mut requests = Requests::default();
            let mut codes = Vec::new();
            for chunk in sample.bytes.chunks(size) {
                for entry in requests.feed(chunk).unwrap() {
                    let request = entry.parse(entry.url());
                    let request = request.unwrap_or_else(|e| panic!("{}, {}: {e}", sample.name, codes.len()));
                    codes.push(request.target().method);
                }
            }
            requests.finish().unwrap();
            assert!(requests.kind().is_ok(), "{}", sample.name);
            let entries = bundle["entry"].as_array().unwrap();
            let methods: Vec<_> =
                entries.iter().filter_map(|entry| entry["request"]["method"].as_str()).collect();
            assert_eq!(codes, methods, "{} in pieces of {size}", sample.name);
        }
    }
}
