//! What the server is sent.

use bytes::Bytes;
use fireguard_traffic::body::{self, Outgoing};
use http_body_util::BodyExt;

use super::server::{Server, Step, answers};
use super::{Kind, ask, both, request, send};

both!(
    requests_arrive_as_they_were_made,
    a_body_larger_than_any_buffer_arrives,
    an_answer_that_does_not_wait_for_the_request_is_read,
    a_reason_given_before_a_reset_is_not_lost,
    bodies_that_stream_arrive,
);

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

async fn requests_arrive_as_they_were_made<K: Kind>() {
    for (method, body, length) in
        [("GET", "", None), ("DELETE", "", None), ("POST", "", Some("0")), ("POST", "a=b&c=d", Some("7"))]
    {
        let server = Server::for_kind::<K>([answers([OK])]).await;
        send(&K::to(server.address), method, body).await.map_err(|_| "failed").unwrap();
        let request = String::from_utf8(server.seen().requests.remove(0)).unwrap();
        let (head, sent) = request.split_once("\r\n\r\n").unwrap();
        let mut lines: Vec<_> = head.split("\r\n").map(str::to_ascii_lowercase).collect();
        lines[1..].sort();
        let start = format!("{method} /fhir/Patient?name=x HTTP/1.1").to_ascii_lowercase();
        let mut expected = vec![start, "host: hapi".to_owned()];
        // hyper leaves a length of zero out.
        let length = length.filter(|length| K::FUSED || *length != "0");
        expected.extend(length.map(|length| format!("content-length: {length}")));
        expected[1..].sort();
        assert_eq!((lines, sent), (expected, body));
    }
}

async fn a_body_larger_than_any_buffer_arrives<K: Kind>() {
    let server = Server::for_kind::<K>([answers([OK])]).await;
    let body = Bytes::from(vec![b'x'; 20_000_000]);
    let sending = K::to(server.address);
    let response = sending.send(&mut request("POST"), Outgoing::Whole(body)).await.unwrap();
    assert_eq!(response.status(), 200);
    assert!(server.seen().requests[0].len() > 20_000_000);
}

async fn an_answer_that_does_not_wait_for_the_request_is_read<K: Kind>() {
    let too_large = b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig".to_vec();
    let pause = vec![Step::RequestHead, Step::Send(too_large), Step::Pause, Step::Pause, Step::Hold];
    let server = Server::for_kind::<K>([pause, answers([OK])]).await;
    let upstream = K::to(server.address);
    let body = Bytes::from(vec![b'x'; 20_000_000]);
    let response = upstream.send(&mut request("POST"), Outgoing::Whole(body)).await.unwrap();
    assert_eq!(response.status(), 413);
    let read = response.into_body().collect().await.map_err(|error| error.to_string()).unwrap();
    assert_eq!(read.to_bytes(), "big");
    // What was left of the request would be taken for the next.
    ask(&upstream, "GET").await.unwrap();
    assert_eq!(server.seen().connections, 2);
}

async fn a_reason_given_before_a_reset_is_not_lost<K: Kind>() {
    let too_large = b"HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 3\r\n\r\nbig".to_vec();
    let server = Server::for_kind::<K>([vec![Step::RequestHead, Step::Send(too_large), Step::Hold]]).await;
    let body = Bytes::from(vec![b'x'; 3_000_000]);
    let response = K::to(server.address).send(&mut request("POST"), Outgoing::Whole(body)).await.unwrap();
    assert_eq!(response.status(), 413);
}

async fn bodies_that_stream_arrive<K: Kind>() {
    let server = Server::for_kind::<K>([answers([OK])]).await;
    let outgoing = Outgoing::Stream(body::full("a streamed body"));
    let response = K::to(server.address).send(&mut request("POST"), outgoing).await.unwrap();
    assert_eq!(response.status(), 200);
    assert!(server.seen().requests[0].ends_with(b"a streamed body"));
}
