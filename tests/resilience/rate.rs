//! One client's limit on one route, by what it asks for.

use crate::http::{Ask, Reply};
use crate::rig::{Change, Rig, WELL};
use fireguard_test_support::standin::Answer;

const TARGET: &str = "/limited/Patient/well";

async fn limited() -> Rig {
    let rig = Rig::with(Change {
        server: "trusted_peers = [\"127.0.0.0/8\"]".to_owned(),
        tables: "[routes.limited]\npath = \"/limited\"\nupstream = \"hapi\"\nauthentication = \"none\"\n\
                 rate = { per_second = 1, burst = 2 }\n"
            .to_owned(),
        ..Change::default()
    })
    .await;
    rig.standin.always("GET", "/fhir/Patient/well", Answer::json(200, WELL));
    rig
}

fn from(client: &str) -> Ask {
    Ask::get(TARGET).header("X-Forwarded-For", client)
}

/// Asks until it is refused; the machine would have to take a second for each request to never get there.
async fn exhaust(rig: &Rig, client: &str) -> Reply {
    for _ in 0..100 {
        let reply = rig.send(from(client)).await;
        if reply.status != 200 {
            return reply;
        }
    }
    panic!("never limited");
}

#[tokio::test]
async fn a_client_over_its_limit_is_told_when_to_come_back() {
    let rig = limited().await;
    let reply = exhaust(&rig, "203.0.113.1").await;
    reply.assert_outcome(429, "throttled", "over the limit");
    let after: u64 = reply.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=2).contains(&after), "{after}");
    // Who waits as long as it was told is let in.
    tokio::time::sleep(std::time::Duration::from_secs(after)).await;
    assert_eq!(rig.send(from("203.0.113.1")).await.status, 200);
}

#[tokio::test]
async fn nobody_else_notices() {
    let rig = limited().await;
    exhaust(&rig, "203.0.113.1").await;
    assert_eq!(rig.send(from("203.0.113.2")).await.status, 200, "another client");
    let other = Ask::get("/fhir/Patient/well").header("X-Forwarded-For", "203.0.113.1");
    for _ in 0..10 {
        assert_eq!(rig.send(other.clone()).await.status, 200, "another route");
    }
    exhaust(&rig, "2001:db8:1:1::1").await;
    let neighbour = rig.send(from("2001:db8:1:1::2")).await;
    assert_eq!(neighbour.status, 429, "the same network of one IPv6 client");
    assert_eq!(rig.send(from("2001:db8:1:2::1")).await.status, 200, "another network");
}

/// A client cannot choose who it is: what stands left of the address that the trusted peer saw is hearsay.
#[tokio::test]
async fn an_invented_address_does_not_help() {
    let rig = limited().await;
    exhaust(&rig, "203.0.113.9").await;
    let invented: Vec<u16> = {
        let mut statuses = Vec::new();
        for n in 0..5 {
            statuses.push(rig.send(from(&format!("198.51.100.{n}, 203.0.113.9"))).await.status);
        }
        statuses
    };
    assert!(invented.contains(&429), "{invented:?}");
}

#[tokio::test]
async fn refused_requests_do_not_reach_the_server() {
    let rig = limited().await;
    let mut passed = 0;
    for _ in 0..20 {
        passed += usize::from(rig.send(from("203.0.113.1")).await.status == 200);
    }
    assert_eq!(rig.arrived().len(), passed);
    assert!(rig.metrics().await.contains("fireguard_rate_limited_total{route=\"limited\",class=\"read\"}"));
}

/// A Fireguard whose limits give nothing back while a test runs.
async fn slow(limits: &str, rate: &str) -> Rig {
    let tables = format!(
        "[routes.limited]\npath = \"/limited\"\nupstream = \"hapi\"\nauthentication = \"none\"\n\
         hapi = {{ check_transactions = false }}\n[routes.limited.rate]\n{rate}\n"
    );
    let server = "trusted_peers = [\"127.0.0.0/8\"]".to_owned();
    let rig = Rig::with(Change { server, limits: limits.to_owned(), tables, ..Change::default() }).await;
    rig.standin.always("*", "/fhir/*", Answer::json(200, WELL));
    rig
}

/// A batch of so many entries, all of which the server answers.
async fn send_batch(rig: &Rig, entries: usize) -> Reply {
    let bundle = |kind: &str, entry: &str| {
        let entries = vec![entry; entries].join(",");
        format!(r#"{{"resourceType":"Bundle","type":"{kind}","entry":[{entries}]}}"#)
    };
    let answer = bundle("batch-response", r#"{"response":{"status":"200"}}"#);
    rig.standin.always("POST", "/fhir/", Answer::json(200, answer));
    let asked = bundle("batch", r#"{"request":{"method":"GET","url":"Patient/1"}}"#);
    rig.send(Ask::json("POST", "/limited", asked)).await
}

#[tokio::test]
async fn classes_have_limits_of_their_own_or_share_one() {
    let rig = slow("", "per_second = 0.01\nburst = 3\nsearch = { burst = 1 }\nbulk = { burst = 1 }").await;
    let search = Ask::get("/limited/Patient?name=x");
    let write = Ask::json("PUT", "/limited/Patient/well", WELL);
    for (ask, status) in [
        (&search, 200),
        (&search, 429),
        (&Ask::form("/limited/Patient/_search", "name=x"), 429),
        (&Ask::get("/limited/Patient/well/_history"), 429),
        (&Ask::get(TARGET), 200),
        (&write, 200),
        (&Ask::get("/limited/metadata"), 200),
        (&write, 429),
        (&Ask::get("/limited/Patient/well/$everything"), 429),
    ] {
        let reply = rig.send(ask.clone()).await;
        assert_eq!(reply.status, status, "{ask:?}: {reply:?}");
    }
    let metrics = rig.metrics().await;
    for (class, count) in [("search", 3), ("write", 1), ("operation", 1)] {
        let line = format!("fireguard_rate_limited_total{{route=\"limited\",class=\"{class}\"}} {count}");
        assert!(metrics.contains(&line), "{line}");
    }
}

#[tokio::test]
async fn answers_say_what_is_left() {
    let rig = slow("", "per_second = 0.01\nburst = 3\nsearch = { burst = 1 }").await;
    let told = |reply: &Reply| {
        (reply.header("ratelimit-policy").map(str::to_owned), reply.header("ratelimit").map(str::to_owned))
    };
    let is = |policy: &str, limit: &str| (Some(policy.to_owned()), Some(limit.to_owned()));
    let reply = rig.send(Ask::get(TARGET)).await;
    assert_eq!(told(&reply), is("\"all\";q=3;w=300", "\"all\";r=2;t=100"));
    // Errors are answers, too.
    let reply = rig.send(Ask::get("/limited/Patient/well/$expunge")).await;
    assert!(reply.status >= 400, "{reply:?}");
    let reply = rig.send(Ask::get("/limited/Patient?name=x")).await;
    assert_eq!(told(&reply), is("\"search\";q=1;w=100", "\"search\";r=0;t=100"));
    let reply = rig.send(Ask::get("/limited/Patient?name=x")).await;
    let after = reply.header("retry-after").unwrap();
    assert_eq!(
        (reply.status, reply.header("ratelimit")),
        (429, Some(format!("\"search\";r=0;t={after}").as_str()))
    );
    let reply = rig.get("/fhir/Patient/well").await;
    assert_eq!(told(&reply), (None, None), "a route without limits");
}

/// A batch is let in as one, and paid for by its entries.
#[tokio::test]
async fn a_batch_counts_by_its_entries() {
    let rig = slow("", "per_second = 0.1\nburst = 5").await;
    let one = send_batch(&rig, 1).await;
    assert_eq!((one.status, one.header("ratelimit")), (200, Some("\"all\";r=4;t=10")), "{one:?}");
    let many = send_batch(&rig, 50).await;
    assert_eq!(many.status, 200, "{many:?}");
    assert!(many.header("ratelimit").unwrap().starts_with("\"all\";r=0;"), "{many:?}");
    let reply = rig.send(Ask::get(TARGET)).await;
    let wait: u64 = reply.header("retry-after").unwrap().parse().unwrap();
    // 51 and one at one in ten seconds, less the five that are free.
    assert!(reply.status == 429 && (400..=470).contains(&wait), "{wait}");

    let rig = slow("", "per_second = 0.1\nburst = 5\nbatch = {}").await;
    assert_eq!(send_batch(&rig, 50).await.status, 200);
    assert_eq!(send_batch(&rig, 1).await.status, 429);
    assert_eq!(rig.send(Ask::get(TARGET)).await.status, 200, "reads are counted for themselves");
}

/// What a client may not write alone it may not write in a batch; what it may read it may read there.
#[tokio::test]
async fn a_batch_is_no_way_around_the_quota_of_its_entries() {
    let rig = slow("", "write = { per_second = 0.1, burst = 3 }").await;
    let read = r#"{"request":{"method":"GET","url":"Patient/1"}}"#;
    let write =
        r#"{"resource":{"resourceType":"Patient","id":"1"},"request":{"method":"PUT","url":"Patient/1"}}"#;
    let send = async |kind: &str, entries: &[&str], answered: usize| {
        let bundle = |kind: &str, entries: &[&str]| {
            format!(r#"{{"resourceType":"Bundle","type":"{kind}","entry":[{}]}}"#, entries.join(","))
        };
        let answer = bundle("batch-response", &vec![r#"{"response":{"status":"200 OK"}}"#; answered]);
        rig.standin.always("POST", "/fhir/", Answer::json(200, answer));
        rig.send(Ask::json("POST", "/limited", bundle(kind, entries))).await
    };
    let statuses = |reply: &Reply| -> Vec<String> {
        let entries = reply.json()["entry"].as_array().unwrap().clone();
        entries.iter().map(|e| e["response"]["status"].as_str().unwrap()[..3].to_owned()).collect()
    };
    // The first is let in, and the others with it, into debt.
    let reply = send("batch", &[read, write, write, write, write, write], 6).await;
    assert_eq!(statuses(&reply), ["200"; 6], "{reply:?}");
    let alone = Ask::json("PUT", "/limited/Patient/1", r#"{"resourceType":"Patient","id":"1"}"#);
    rig.send(alone).await.assert_outcome(429, "throttled", "five of three were written");
    // Then none of its writes reaches the server, and its reads do.
    let reply = send("batch", &[read, write, read, write], 2).await;
    assert_eq!(statuses(&reply), ["200", "429", "200", "429"], "{reply:?}");
    let after: u64 = reply.header("retry-after").unwrap().parse().unwrap();
    assert!((20..=30).contains(&after), "{after}");
    let sent = String::from_utf8(rig.arrived().last().unwrap().body.to_vec()).unwrap();
    assert!(sent.contains("GET") && !sent.contains("PUT"), "{sent}");
    let reply = send("transaction", &[read, write], 2).await;
    reply.assert_outcome(429, "throttled", "a transaction, as a whole");
    assert!(reply.header("retry-after").is_some(), "{reply:?}");
    assert_eq!(send("transaction", &[read, read], 2).await.status, 200);
    let counted = "fireguard_rate_limited_total{route=\"limited\",class=\"write\"} 4";
    assert!(rig.metrics().await.contains(counted));
}

#[tokio::test]
async fn a_refused_upload_is_not_read() {
    let rig = slow("", "per_second = 0.01\nburst = 1").await;
    assert_eq!(rig.send(Ask::get(TARGET)).await.status, 200);
    // The body never comes.
    let ask = Ask::new("POST", "/limited/Patient").header("Content-Type", "application/fhir+json");
    rig.send(ask.header("Content-Length", "100000")).await.assert_outcome(429, "throttled", "without a body");
}

#[tokio::test]
async fn how_much_of_an_ipv6_address_names_a_client_is_a_setting() {
    let rig = slow("rate_ipv6_prefix = 48", "per_second = 0.01\nburst = 1").await;
    for (client, status) in
        [("2001:db8:1:1::1", 200), ("2001:db8:1:2::1", 429), ("2001:db8:2::1", 200), ("203.0.113.1", 200)]
    {
        assert_eq!(rig.send(from(client)).await.status, status, "{client}");
    }
}
