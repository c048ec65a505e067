//! What answers are read as, at every cut, and which are refused.

use futures_util::future::join_all;

use super::server::{Server, Step};
use super::{Kind, ask, both};

both!(
    whole_answers_are_read_at_every_cut,
    a_cut_short_answer_never_ends_cleanly,
    hostile_answers_are_refused,
    large_bodies_arrive_whole,
);

/// Method, answer, its body, and whether the server closes after it.
const GOOD: [(&str, &str, &str, bool); 19] = [
    ("GET", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "hello", false),
    ("GET", "HTTP/1.1 200 \r\ncontent-length:5\r\nConnection: close\r\n\r\nhello", "hello", true),
    ("GET", "HTTP/1.1 200\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello", "hello", false),
    ("GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "", false),
    ("GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", "hello", false),
    ("GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "", false),
    (
        "GET",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;a=b\r\nhe\r\n03\r\nllo\r\n0\r\nA: b\r\n\r\n",
        "hello",
        false,
    ),
    ("GET", "HTTP/1.1 200 OK\r\n\r\nhello", "hello", true),
    ("GET", "HTTP/1.1 200 OK\r\n\r\n", "", true),
    ("GET", "HTTP/1.0 200 OK\r\n\r\nhello", "hello", true),
    ("GET", "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", "hello", true),
    ("GET", "HTTP/1.1 204 No Content\r\n\r\n", "", false),
    ("GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", "", false),
    ("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "", false),
    ("HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "", false),
    ("GET", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "ok", false),
    (
        "GET",
        "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n\
         HTTP/1.1 500 Error\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno",
        "no",
        true,
    ),
    ("DELETE", "HTTP/1.1 200 OK\r\nX:  a\u{e9} b\t\r\nContent-Length: 1\r\n\r\n-", "-", false),
    ("POST", "HTTP/1.1 404 Not Found\r\nContent-Length: 1\r\n\r\n-", "-", false),
];

async fn whole_answers_are_read_at_every_cut<K: Kind>() {
    for (method, answer, body, closes) in GOOD {
        join_all((0..=answer.len()).map(async |cut| {
            let (before, after) = answer.as_bytes().split_at(cut);
            let mut script =
                vec![Step::Request, Step::Send(before.into()), Step::Pause, Step::Send(after.into())];
            if !closes {
                script.push(Step::Hold);
            }
            let server = Server::for_kind::<K>([script]).await;
            let (_, headers, read) = ask(&K::to(server.address), method)
                .await
                .unwrap_or_else(|error| panic!("{answer:?} cut at {cut}: {error}"));
            assert_eq!(String::from_utf8_lossy(&read), body, "{answer:?} cut at {cut}");
            let lengths = headers.get_all("content-length").iter().count();
            assert!(!K::FUSED || lengths <= 1, "{answer:?}");
        }))
        .await;
    }
}

async fn a_cut_short_answer_never_ends_cleanly<K: Kind>() {
    for (method, answer, body, _) in GOOD {
        let framed = answer.contains("Content-Length")
            || answer.contains("content-length")
            || answer.contains("chunked")
            || body.is_empty();
        let ends_by_close = if framed { 0 } else { body.len() };
        for last in [None, Some(Step::Reset)] {
            join_all((0..answer.len() - ends_by_close).map(async |cut| {
                let before = answer.as_bytes()[..cut].to_vec();
                let mut script = vec![Step::Request, Step::Send(before), Step::Pause];
                script.extend(last.clone());
                let server = Server::for_kind::<K>([script]).await;
                let read = ask(&K::to(server.address), method).await;
                assert!(read.is_err(), "{answer:?} cut at {cut}: {read:?}");
            }))
            .await;
        }
    }
}

async fn hostile_answers_are_refused<K: Kind>() {
    let long = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(1 << 20));
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "A: b\r\n".repeat(200));
    let interim = "HTTP/1.1 100 Continue\r\n\r\n".repeat(10_000) + "HTTP/1.1 204 No Content\r\n\r\n";
    let chunked = |chunks: &str| format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}");
    let extensions = chunked(&format!("1;{}\r\na\r\n0\r\n\r\n", "x".repeat(100_000)));
    let trailers = chunked(&format!("0\r\n{}\r\n", "A: b\r\n".repeat(100_000)));
    let mut surprises = Vec::new();
    // What is refused by hyper too; the rest is what it is known to let through.
    for (answer, hyper_too) in [
        ("SSH-2.0-OpenSSH\r\n", true),
        ("HTTP/1.1 200 OK\r\nA: b\0\r\n\r\n", true),
        ("HTTP/1.1 200 OK\r\nA: b\rc\r\nContent-Length: 0\r\n\r\n", true),
        ("HTTP/1.1 200 OK\r\nA: b\r\n c\r\nContent-Length: 0\r\n\r\n", true),
        ("HTTP/1.1 200 OK\r\nA : b\r\nContent-Length: 0\r\n\r\n", true),
        ("HTTP/1.1 200 OK\nContent-Length: 0\n\n", false),
        ("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", false),
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello", true),
        ("HTTP/1.1 200 OK\r\nContent-Length: 5, 6\r\n\r\nhello", true),
        ("HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\nhello", true),
        ("HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551616\r\n\r\nhello", true),
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", false),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", false),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\nhello", false),
        ("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", true),
        (&chunked("x\r\n"), true),
        (&chunked("-1\r\na\r\n0\r\n\r\n"), true),
        (&chunked("10000000000000000\r\na"), true),
        (&chunked("1\r\nab\r\n0\r\n\r\n"), true),
        (&chunked("1\na\n0\n\n"), true),
        (&chunked("1\r\na\r\n0\r\n\n"), true),
        (&extensions, true),
        (&trailers, true),
        (&long, true),
        (&many, true),
        (&interim, false),
    ] {
        let server = Server::for_kind::<K>([vec![Step::Request, Step::Send(answer.into())]]).await;
        let read = ask(&K::to(server.address), "GET").await;
        if read.is_err() != (K::FUSED || hyper_too) {
            surprises.push(format!("{:?}: {read:?}", &answer[..answer.len().min(80)]));
        }
    }
    assert!(surprises.is_empty(), "{surprises:#?}");
}

async fn large_bodies_arrive_whole<K: Kind>() {
    let body: Vec<u8> = (0_u32..700_000).flat_map(u32::to_be_bytes).collect();
    for chunk in [None, Some(100), Some(8_192), Some(1_000_000)] {
        let mut answer = b"HTTP/1.1 200 OK\r\n".to_vec();
        match chunk {
            None => {
                answer.extend_from_slice(format!("Content-Length: {}\r\n\r\n", body.len()).as_bytes());
                answer.extend_from_slice(&body);
            }
            Some(size) => {
                answer.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n");
                for chunk in body.chunks(size) {
                    answer.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                    answer.extend_from_slice(chunk);
                    answer.extend_from_slice(b"\r\n");
                }
                answer.extend_from_slice(b"0\r\n\r\n");
            }
        }
        let server = Server::for_kind::<K>([vec![Step::Request, Step::Send(answer), Step::Hold]]).await;
        let (_, _, read) = ask(&K::to(server.address), "GET").await.unwrap();
        assert!(read == body, "chunks of {chunk:?}");
    }
}
