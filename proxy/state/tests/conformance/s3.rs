//! Buckets: of a server in this process that misbehaves on purpose, and of a real one.

use std::time::{Duration, Instant};

use fireguard_state::s3::{Access, Bucket, BucketFault, Created, Place, Sse};
use fireguard_test_support::s3::versity::Versity;
use fireguard_test_support::s3::{Fault, S3};

fn place(server: &S3) -> Place {
    let (key, secret) = server.keys();
    Place {
        name: "test".to_owned(),
        endpoint: Some(server.endpoint()),
        region: "us-east-1".to_owned(),
        bucket: server.bucket().to_owned(),
        prefix: "below/".to_owned(),
        path_style: true,
        access: Some(Access { key: key.to_owned(), secret: secret.to_owned().into() }),
        sse: Sse::Default,
        authorities: None,
        timeout: Duration::from_secs(20),
    }
}

fn versity(server: &Versity) -> Place {
    let (key, secret) = server.keys();
    Place {
        name: "versity".to_owned(),
        endpoint: Some(server.endpoint()),
        region: "us-east-1".to_owned(),
        bucket: Versity::BUCKET.to_owned(),
        prefix: "below/".to_owned(),
        path_style: true,
        access: Some(Access { key: key.to_owned(), secret: secret.to_owned().into() }),
        sse: Sse::Default,
        authorities: None,
        timeout: Duration::from_secs(20),
    }
}

async fn start() -> (S3, Bucket) {
    let server = S3::start("objects").await.unwrap();
    let bucket = Bucket::new(place(&server)).unwrap();
    (server, bucket)
}

fn bytes(text: &str) -> Vec<u8> {
    text.as_bytes().to_vec()
}

/// What every server does.
async fn does_as_a_bucket_does(bucket: &Bucket) {
    assert_eq!(bucket.probe().await, Ok(()));
    assert_eq!(bucket.get("a", 100).await, Ok(None));
    assert_eq!(bucket.put("a", bytes("one"), "text/plain").await, Ok(()));
    assert_eq!(bucket.put("a", bytes("two"), "text/plain").await, Ok(()));
    assert_eq!(bucket.get("a", 3).await, Ok(Some(bytes("two"))));
    assert_eq!(bucket.get("a", 2).await, Err(BucketFault::TooLarge { most: 2 }));
    assert_eq!(bucket.create("new", bytes("first"), "text/plain").await, Ok(Created::Now));
    assert_eq!(bucket.create("new", bytes("second"), "text/plain").await, Ok(Created::Before));
    assert_eq!(bucket.get("new", 100).await, Ok(Some(bytes("first"))), "it was not replaced");
    bucket.put("empty", Vec::new(), "text/plain").await.unwrap();
    assert_eq!(bucket.get("empty", 0).await, Ok(Some(Vec::new())));
    bucket.delete("empty").await.unwrap();
    assert_eq!(bucket.delete("empty").await, Ok(()), "it is gone already");

    let inside = bucket.within("plugins/p/");
    for key in ["b", "a/z", "a-b", "a/b=c_d.e"] {
        inside.put(key, bytes("x"), "text/plain").await.unwrap();
    }
    let keys = async |prefix, after, most| {
        let listed = inside.list(prefix, after, most).await.unwrap();
        assert!(listed.iter().all(|object| object.size == 1));
        listed.into_iter().map(|object| object.key).collect::<Vec<_>>()
    };
    assert_eq!(keys("", "", 3).await, ["a-b", "a/b=c_d.e", "a/z"]);
    assert_eq!(keys("", "a/z", 3).await, ["b"]);
    assert_eq!(keys("a/", "a/b", 9).await, ["a/b=c_d.e", "a/z"]);
    assert_eq!(keys("", "b", 9).await, [""; 0]);
    assert_eq!(inside.get("new", 100).await, Ok(None), "what is beside it is not there");
}

#[tokio::test]
async fn a_bucket() {
    let (server, bucket) = start().await;
    does_as_a_bucket_does(&bucket).await;
    assert!(server.objects().unwrap().contains_key("below/plugins/p/a/z"));
}

#[tokio::test]
async fn a_bucket_of_a_real_server() {
    let Some(server) = tokio::task::spawn_blocking(Versity::start).await.unwrap().unwrap() else { return };
    let place = versity(&server);
    does_as_a_bucket_does(&Bucket::new(place.clone()).unwrap()).await;
    let absent = Bucket::new(Place { bucket: "another".to_owned(), ..place.clone() }).unwrap();
    assert_eq!(absent.probe().await, Err(BucketFault::NoBucket));
    assert_eq!(absent.put("a", Vec::new(), "text/plain").await, Err(BucketFault::NoBucket));
    let wrong = place.access.clone().map(|access| Access { secret: "wrong".to_owned().into(), ..access });
    let refused = Bucket::new(Place { access: wrong, ..place }).unwrap();
    let denied = BucketFault::Denied("SignatureDoesNotMatch".to_owned());
    assert_eq!(refused.put("a", Vec::new(), "text/plain").await, Err(denied));
}

#[tokio::test]
async fn a_bucket_behind_tls() {
    let pair = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let (certificate, key) = (pair.cert.pem(), pair.signing_key.serialize_pem());
    let authorities = Some(bytes(&certificate));
    let started = tokio::task::spawn_blocking(move || Versity::start_with_tls(&certificate, &key));
    let Some(server) = started.await.unwrap().unwrap() else { return };
    let place = versity(&server);
    assert_eq!(
        Bucket::new(place.clone()).unwrap().probe().await,
        Err(BucketFault::Unreachable),
        "nobody vouches"
    );
    let bucket = Bucket::new(Place { authorities, ..place }).unwrap();
    assert_eq!(bucket.create("a", bytes("x"), "text/plain").await, Ok(Created::Now));
    assert_eq!(bucket.get("a", 1).await, Ok(Some(bytes("x"))));
}

#[tokio::test]
async fn what_passes_is_tried_again_and_nothing_else() {
    let (server, bucket) = start().await;
    let put = async |faults: Vec<Fault>| {
        let before = server.puts().len();
        server.next(faults);
        let put = bucket.create("key", bytes("x"), "text/plain").await;
        bucket.delete("key").await.unwrap();
        (put, server.puts().len() - before)
    };
    let busy = Fault::Answer(503, "SlowDown");
    let broken = Fault::Answer(500, "InternalError");
    let failed = |code: &str| Err(BucketFault::Status(500, code.to_owned()));
    for (faults, expected, attempts) in [
        (vec![], Ok(Created::Now), 1),
        (vec![busy, busy], Ok(Created::Now), 3),
        (vec![broken, Fault::Reset], Ok(Created::Now), 3),
        (vec![busy; 3], Err(BucketFault::Busy("SlowDown".to_owned())), 3),
        (vec![broken; 3], failed("InternalError"), 3),
        (vec![Fault::Reset; 3], Err(BucketFault::Unreachable), 3),
        // It is there, although nobody said so.
        (vec![Fault::DoneAndDenied], Ok(Created::Before), 2),
        (vec![Fault::Answer(403, "AccessDenied")], Err(BucketFault::Denied("AccessDenied".to_owned())), 1),
        // A server without conditions is asked without.
        (vec![Fault::Answer(501, "NotImplemented")], Ok(Created::Now), 2),
    ] {
        assert_eq!(put(faults.clone()).await, (expected, attempts), "{faults:?}");
    }
    assert_eq!(put(vec![]).await, (Ok(Created::Now), 1));
    assert!(!server.puts().last().unwrap().only_new, "it was remembered");
}

#[tokio::test]
async fn a_put_that_is_done_and_not_answered_is_seen_to_be_done() {
    let server = S3::start("objects").await.unwrap();
    let bucket = Bucket::new(Place { timeout: Duration::from_secs(2), ..place(&server) }).unwrap();
    server.next([Fault::SilentlyDone]);
    assert_eq!(bucket.create("key", bytes("x"), "text/plain").await, Ok(Created::Before));
    server.always(Some(Fault::SilentlyDone));
    let begun = Instant::now();
    assert_eq!(bucket.get("key", 9).await, Err(BucketFault::Silent));
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
    assert_eq!(server.objects().unwrap()["below/key"], b"x");
}

#[tokio::test]
async fn what_does_not_pass_is_told() {
    let (server, bucket) = start().await;
    let wrong = Some(Access { key: server.keys().0.to_owned(), secret: "wrong".to_owned().into() });
    let refused = Bucket::new(Place { access: wrong, ..place(&server) }).unwrap();
    let denied = BucketFault::Denied("SignatureDoesNotMatch".to_owned());
    assert_eq!(refused.put("a", Vec::new(), "text/plain").await, Err(denied));
    let nowhere = Place { endpoint: Some("http://127.0.0.1:9".to_owned()), ..place(&server) };
    assert_eq!(Bucket::new(nowhere).unwrap().get("a", 1).await, Err(BucketFault::Unreachable));
    server.bucket_is_there(false);
    assert_eq!(bucket.probe().await, Err(BucketFault::NoBucket));
    assert_eq!(bucket.put("a", Vec::new(), "text/plain").await, Err(BucketFault::NoBucket));
    server.bucket_is_there(true);
    assert_eq!(bucket.put("a", Vec::new(), "text/plain").await, Ok(()));
    let bad = Place { authorities: Some(bytes("no PEM")), ..place(&server) };
    assert!(matches!(Bucket::new(bad), Err(BucketFault::Authorities(_))));
}

#[tokio::test]
async fn encryption_is_asked_for() {
    let server = S3::start("objects").await.unwrap();
    for (sse, expected) in [(Sse::Aes256, "AES256"), (Sse::Kms(Some("id".to_owned())), "aws:kms")] {
        let bucket = Bucket::new(Place { sse, ..place(&server) }).unwrap();
        // What the server makes of it is its own affair.
        let _ = bucket.put("a", Vec::new(), "text/plain").await;
        assert_eq!(server.puts().last().unwrap().encryption.as_deref(), Some(expected));
    }
}
