//! What the server says in its OperationOutcomes reaches a client only where it is known to be harmless.

use fireguard_test_support::standin::Answer;
use serde_json::json;

use crate::http::Ask;
use crate::rig::Rig;

const TARGET: &str = "/fhir/Patient/1";

#[tokio::test]
async fn of_the_server_s_words_only_harmless_ones_pass() {
    let rig = Rig::start().await;
    let (base, ours) = (rig.standin.base_url(), format!("http://{}/fhir", rig.gateway.listen()));
    let own = "its own words are not shown";
    let insert = "HAPI-0550: could not execute batch [insert into HFJ_RES_VER (RES_ID) values ('zq-secret')]";
    let trace = "NullPointerException zq-secret\n\tat java.base/java.util.HashMap.get";
    let stays = "HAPI-2001: Resource Patient/1 is not known";
    for (status, said, shown) in [
        (404, stays, stays),
        (409, insert, own),
        (500, trace, own),
        (500, "zq-secret", own),
        (412, "HAPI-1092: Invalid match URL \"Patient?identifier=zq-secret\"", "HAPI-1092: a condition"),
        (404, &format!("HAPI-2001: {base}/Patient/1"), &format!("HAPI-2001: {ours}/Patient/1")),
        (404, &format!("HAPI-2001: {} zq-secret", rig.standin.address()), own),
    ] {
        let outcome = json!({
            "resourceType": "OperationOutcome",
            "text": {"status": "generated", "div": format!("<div xmlns=\"http://www.w3.org/1999/xhtml\">{said}</div>")},
            "issue": [{"severity": "error", "code": "processing", "details": {"text": said}, "diagnostics": said}],
        });
        rig.standin.always("GET", TARGET, Answer::json(status, outcome.to_string()));
        let reply = rig.get(TARGET).await;
        let json = reply.json();
        assert_eq!(reply.status, status, "{reply:?}");
        for text in [&json["issue"][0]["diagnostics"], &json["issue"][0]["details"]["text"]] {
            assert!(text.as_str().unwrap().contains(shown), "{text} for {said}");
        }
        assert!(!reply.text().contains("zq-secret"), "{}", reply.text());
        assert!(!reply.text().contains(&rig.standin.address().to_string()), "{}", reply.text());

        let entry = json!({"response": {"status": status.to_string(), "outcome": outcome}});
        let bundle = json!({"resourceType": "Bundle", "type": "batch-response", "entry": [entry]});
        rig.standin.always("POST", "/fhir/", Answer::json(200, bundle.to_string()));
        let asked = r#"{"resourceType":"Bundle","type":"batch","entry":[{"request":{"method":"GET","url":"Patient/1"}}]}"#;
        let text = rig.send(Ask::json("POST", "/fhir", asked)).await.text();
        // Without a code and a mark it may be a validator's, inside of a success.
        assert_eq!(text.contains("zq-secret"), said == "zq-secret", "{text}");
        assert!(!text.contains(&rig.standin.address().to_string()), "{text}");
    }
}
