use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

/// A server that answers each request with what `answer` makes of its head, and then closes.
async fn server(answer: impl Fn(&str) -> String + Send + 'static) -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let heads = Arc::clone(&seen);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = Vec::new();
            let mut piece = [0; 1024];
            while !head.windows(4).any(|window| window == b"\r\n\r\n") {
                match stream.read(&mut piece).await {
                    Ok(0) | Err(_) => break,
                    Ok(read) => head.extend_from_slice(&piece[..read]),
                }
            }
            let head = String::from_utf8_lossy(&head).to_lowercase();
            let answer = answer(&head);
            heads.lock().unwrap().push(head);
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    (address, seen)
}

fn plain(body: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\nX-Said: yes\r\nset-cookie: a=b\r\n\r\n{body}",
        body.len()
    )
}

fn moved(to: &str) -> String {
    format!("HTTP/1.1 302 Found\r\nlocation: {to}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
}

fn rules(hosts: &[&str], private: &[&str]) -> Rules {
    Rules {
        hosts: hosts.iter().map(|host| Origin::granted(host).unwrap()).collect(),
        reach: Reach::new(private.iter().map(|network| network.parse().unwrap()).collect()),
        authorities: Vec::new(),
        timeout: Duration::from_secs(5),
        most: 1000,
    }
}

fn get(url: &str) -> Request {
    Request { method: "GET".to_owned(), url: url.to_owned(), headers: Vec::new(), body: None }
}

/// Every name leads to what `found` says.
fn sender(rules: Rules, found: impl Fn() -> SocketAddr + Send + Sync + 'static) -> Sender {
    Sender::with_lookup(
        rules,
        Arc::new(move |_| {
            let found = found();
            Box::pin(async move { Ok(vec![SocketAddr::new(found.ip(), 0)]) })
        }),
    )
    .unwrap()
}

#[tokio::test]
async fn a_granted_host_answers() {
    let (at, seen) = server(|_| plain("hello")).await;
    let host = format!("http://api.example:{}", at.port());
    let sender = sender(rules(&[&host], &["127.0.0.0/8"]), move || at);
    let request = Request {
        method: "PUT".to_owned(),
        headers: vec![("X-Key".to_owned(), "1".to_owned())],
        body: Some(b"body".to_vec()),
        ..get(&format!("{host}/a?b=c"))
    };
    let answer = sender.send(request).await.unwrap();
    assert_eq!((answer.status, answer.body.as_slice()), (200, &b"hello"[..]));
    assert_eq!(answer.headers, [("x-said".to_owned(), "yes".to_owned())]);
    let head = seen.lock().unwrap().remove(0);
    assert!(head.starts_with("put /a?b=c http/1.1") && head.contains("x-key: 1\r\n"), "{head}");
    assert!(head.contains(&format!("host: api.example:{}", at.port())), "{head}");
}

#[tokio::test]
async fn others_are_not_even_asked() {
    let (at, seen) = server(|_| plain("")).await;
    let port = at.port();
    let host = format!("http://api.example:{port}");
    let literal = format!("http://127.0.0.1:{port}");
    let sender = sender(rules(&[&host, &literal], &[]), move || at);
    let send = async |request: Request| sender.send(request).await.unwrap_err();
    for url in [
        "https://other.example/",
        "http://api.example/",
        &format!("https://api.example:{port}/"),
        &format!("http://api.example.org:{port}/"),
        &format!("http://api.example:{}/", port ^ 1),
    ] {
        assert!(matches!(send(get(url)).await, Fault::Host(_)), "{url}");
    }
    for url in ["", "/", "api.example", "ftp://api.example", &format!("http://u:p@api.example:{port}/")] {
        assert_eq!(send(get(url)).await, Fault::Url, "{url}");
    }
    // Granted as hosts, but not their addresses.
    for url in [&host, &literal, &format!("http://2130706433:{port}"), &format!("http://0x7f.1:{port}")] {
        assert_eq!(send(get(url)).await, Fault::Address, "{url}");
    }
    let with = |method: &str| Request { method: method.to_owned(), ..get(&host) };
    for method in ["CONNECT", "TRACE", "", "GE T"] {
        assert_eq!(send(with(method)).await, Fault::Method, "{method}");
    }
    let long = Request { body: Some(vec![0; 1001]), ..get(&host) };
    assert_eq!(send(long).await, Fault::TooLong(1000));
    assert!(seen.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_name_that_turns_to_a_private_address_is_not_followed() {
    // The first answer would pass every check made before connecting; a later one leads home.
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let (at, seen) = server(|_| plain("")).await;
    let host = format!("http://rebinding.example:{}", at.port());
    // 192.0.2.1 stands for a public address that does not answer.
    let sender = sender(
        Rules { timeout: Duration::from_millis(200), ..rules(&[&host], &["192.0.2.1/32"]) },
        move || match count.fetch_add(1, Ordering::SeqCst) {
            0 => "192.0.2.1:0".parse().unwrap(),
            _ => at,
        },
    );
    assert!(matches!(sender.send(get(&host)).await, Err(Fault::Timeout | Fault::Unreachable(_))));
    assert_eq!(sender.send(get(&host)).await, Err(Fault::Address));
    assert!(asked.load(Ordering::SeqCst) == 2 && seen.lock().unwrap().is_empty());
}

#[tokio::test]
async fn redirects_lead_to_granted_hosts_only() {
    let (other, elsewhere) = server(|_| plain("not to be seen")).await;
    let (at, seen) = server(move |head| {
        let path = head.split(' ').nth(1).unwrap();
        match path {
            "/own" => moved("/there"),
            "/granted" => moved(&format!("http://second.example:{}/there", "PORT")),
            "/literal" => moved(&format!("http://{other}/")),
            "/name" => moved("http://other.example/"),
            "/file" => moved("file:///etc/passwd"),
            "/round" => moved("/round"),
            _ => plain("there"),
        }
    })
    .await;
    let host = format!("http://api.example:{}", at.port());
    let sender = sender(rules(&[&host], &["127.0.0.0/8"]), move || at);
    let status = async |path: &str| sender.send(get(&format!("{host}{path}"))).await.unwrap().status;
    assert_eq!(status("/own").await, 200);
    for path in ["/granted", "/literal", "/name", "/file"] {
        assert_eq!(status(path).await, 302, "{path}");
    }
    assert_eq!(status("/round").await, 302, "not for ever");
    assert!(elsewhere.lock().unwrap().is_empty());
    assert_eq!(
        seen.lock().unwrap().iter().filter(|head| head.starts_with("get /round")).count(),
        REDIRECTS + 1
    );
}

#[tokio::test]
async fn long_and_slow_answers_end() {
    let (at, _) = server(|head| {
        if head.starts_with("get /long") {
            plain(&"x".repeat(1001))
        } else {
            "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n12".to_owned()
        }
    })
    .await;
    let host = format!("http://api.example:{}", at.port());
    let sender = sender(rules(&[&host], &["127.0.0.0/8"]), move || at);
    assert_eq!(sender.send(get(&format!("{host}/long"))).await, Err(Fault::TooLong(1000)));
    assert_eq!(sender.send(get(&host)).await, Err(Fault::Unreachable("the connection broke")));
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = silent.local_addr().unwrap();
    let host = format!("http://api.example:{}", at.port());
    let impatient = Rules { timeout: Duration::from_millis(100), ..rules(&[&host], &["127.0.0.0/8"]) };
    assert_eq!(super::tests::sender(impatient, move || at).send(get(&host)).await, Err(Fault::Timeout));
}
