//! When a connection is used again, when it is closed, and what is said of one that broke.

use std::time::Duration;

use bytes::Bytes;
use fireguard_traffic::body::Outgoing;
use fireguard_traffic::upstream::{Connections, PoolSettings, SendError, Upstream as _};
use http_body::Body as _;
use http_body_util::BodyExt;

use super::server::{Server, Step, answers};
use super::{Kind, ask, both, request, send, settings};

both!(
    what_follows_an_answer_is_never_taken_for_the_next,
    a_connection_that_was_closed_at_rest_does_no_harm,
    closing_answers_end_their_connection,
    a_body_that_is_dropped_closes_its_connection,
    it_says_whether_the_connection_had_been_used,
    nobody_listens,
    silence_inside_a_body_ends_it,
    a_slow_reader_is_not_a_silent_server,
);

const FIRST: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfirst";
const SECOND: &str = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecond";
const STRAY: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nstray";

async fn read(upstream: &impl Kind) -> String {
    String::from_utf8(ask(upstream, "GET").await.unwrap().2).unwrap()
}

#[tokio::test]
async fn one_connection_carries_one_request_after_another() {
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n0\r\n\r\n";
    let empty = "HTTP/1.1 204 No Content\r\n\r\n";
    let server = Server::start([answers([FIRST, chunked, empty, SECOND])]).await;
    let upstream = Connections::to(server.address);
    for expected in ["first", "first", "", "second"] {
        assert_eq!(read(&upstream).await, expected);
    }
    assert_eq!(server.seen().connections, 1);
}

#[tokio::test]
async fn a_small_answer_is_one_frame_and_frees_its_connection_at_once() {
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nfir\r\n2;x\r\nst\r\n0\r\n\r\n";
    let server = Server::start([answers([FIRST, chunked, SECOND])]).await;
    let upstream = Connections::to(server.address);
    for _ in 0..2 {
        let response = upstream.send(&mut request("GET"), Outgoing::Whole(Bytes::new())).await;
        let mut body = response.unwrap().into_body();
        assert!(!body.is_end_stream());
        assert_eq!(body.size_hint().exact(), Some(5));
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "first");
        assert!(body.is_end_stream());
        assert_eq!(body.size_hint().exact(), Some(0));
        assert!(body.frame().await.is_none());
    }
    let unread = upstream.send(&mut request("GET"), Outgoing::Whole(Bytes::new())).await.unwrap();
    assert_eq!((server.seen().connections, unread.status().as_u16()), (1, 200));
}

async fn what_follows_an_answer_is_never_taken_for_the_next<K: Kind>() {
    for answer in [
        FIRST,
        "HTTP/1.1 304 Not Modified\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ] {
        let with_stray = [answer, STRAY].concat().into_bytes();
        let at_once = vec![Step::Request, Step::Send(with_stray), Step::Hold];
        let (answer, stray) = (Step::Send(answer.into()), Step::Send(STRAY.into()));
        let later = vec![Step::Request, answer.clone(), Step::Pause, stray, Step::Hold];
        let line_end = vec![Step::Request, answer, Step::Pause, Step::Send(b"\r\n".to_vec()), Step::Hold];
        for script in [at_once, later, line_end] {
            let steps = script.len() - 1;
            let server = Server::for_kind::<K>([script, answers([SECOND])]).await;
            let upstream = K::to(server.address);
            ask(&upstream, "GET").await.unwrap();
            server.played(steps).await;
            assert_eq!(read(&upstream).await, "second");
            assert_eq!(server.seen().connections, 2);
        }
    }
}

async fn a_connection_that_was_closed_at_rest_does_no_harm<K: Kind>() {
    for last in [Step::Pause, Step::Reset] {
        let closing = vec![Step::Request, Step::Send(FIRST.into()), Step::Pause, last];
        let server = Server::for_kind::<K>([closing, answers([SECOND])]).await;
        let upstream = K::to(server.address);
        assert_eq!(read(&upstream).await, "first");
        server.finished(1).await;
        assert_eq!(read(&upstream).await, "second");
    }
}

async fn closing_answers_end_their_connection<K: Kind>() {
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive, CLOSE\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: x\r\nConnection: close\r\n\r\nok",
        "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
    ] {
        let server = Server::for_kind::<K>([answers([answer]), answers([SECOND])]).await;
        let upstream = K::to(server.address);
        assert_eq!(read(&upstream).await, "ok");
        server.finished(1).await;
        assert_eq!(read(&upstream).await, "second");
    }
}

async fn a_body_that_is_dropped_closes_its_connection<K: Kind>() {
    let half = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf ";
    let server = Server::for_kind::<K>([answers([half]), answers([SECOND])]).await;
    let upstream = K::to(server.address);
    let response = upstream.send(&mut request("GET"), Outgoing::Whole(Bytes::new())).await.unwrap();
    let mut body = response.into_body();
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "half ");
    drop(body);
    server.finished(1).await;
    assert_eq!(read(&upstream).await, "second");
}

async fn it_says_whether_the_connection_had_been_used<K: Kind>() {
    let used = |error| match error {
        Err(Ok(SendError::Broken { reused, .. })) => reused,
        other => panic!("{other:?}"),
    };
    let server = Server::for_kind::<K>([vec![Step::Request]]).await;
    assert!(!used(send(&K::to(server.address), "GET", "").await));

    let twice = vec![Step::Request, Step::Send(FIRST.into()), Step::Request];
    let server = Server::for_kind::<K>([twice.clone()]).await;
    let upstream = K::to(server.address);
    assert_eq!(read(&upstream).await, "first");
    server.played(2).await;
    assert!(used(send(&upstream, "GET", "").await));

    // An answer that has begun was meant: asking again would not help.
    let begun = twice.into_iter().chain([Step::Send(b"HTTP/1.1 200".to_vec())]).collect();
    let server = Server::for_kind::<K>([begun]).await;
    let upstream = K::to(server.address);
    assert_eq!(read(&upstream).await, "first");
    server.played(2).await;
    assert_eq!(used(send(&upstream, "GET", "").await), !K::FUSED);
}

async fn nobody_listens<K: Kind>() {
    // Bound, so that nobody else gets it, and not listened to.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let answer = send(&K::to(socket.local_addr().unwrap()), "GET", "").await;
    assert!(matches!(answer, Err(Ok(SendError::Connect(_)))), "{answer:?}");
}

async fn silence_inside_a_body_ends_it<K: Kind>() {
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf ",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nwhole\r\n",
        "HTTP/1.1 200 OK\r\n\r\nwhole",
    ] {
        let server = Server::for_kind::<K>([answers([answer])]).await;
        let patience = Duration::from_millis(50);
        let upstream = K::connect(PoolSettings { body_idle_timeout: patience, ..settings(server.address) });
        let error = ask(&upstream, "GET").await.unwrap_err();
        assert_eq!(error, "the server sent nothing for 50ms in the middle of its answer");
        server.finished(1).await;
    }
}

async fn a_slow_reader_is_not_a_silent_server<K: Kind>() {
    let mut answer = b"HTTP/1.1 200 OK\r\nContent-Length: 9000000\r\n\r\n".to_vec();
    answer.resize(answer.len() + 9_000_000, b'x');
    let server = Server::for_kind::<K>([vec![Step::Request, Step::Send(answer), Step::Hold]]).await;
    let patience = Duration::from_millis(500);
    let upstream = K::connect(PoolSettings { body_idle_timeout: patience, ..settings(server.address) });
    let mut response = upstream.send(&mut request("GET"), Outgoing::Whole(Bytes::new())).await.unwrap();
    let first = response.frame().await.unwrap().unwrap().into_data().unwrap().len();
    tokio::time::sleep(patience * 2).await;
    let rest = response.collect().await.map_err(|error| error.to_string()).unwrap().to_bytes();
    assert_eq!(first + rest.len(), 9_000_000);
}

#[tokio::test]
async fn one_that_rested_too_long_is_not_used() {
    let server = Server::start([answers([FIRST]), answers([SECOND])]).await;
    let keep_idle = Duration::from_millis(1);
    let upstream = Connections::connect(PoolSettings { keep_idle, ..settings(server.address) });
    assert_eq!(read(&upstream).await, "first");
    server.played(2).await;
    assert_eq!(read(&upstream).await, "second");
    server.finished(1).await;
}
