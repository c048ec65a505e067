use super::*;

const GOOD: &str = r#"
[upstreams.hapi]
url = "http://127.0.0.1:8080/fhir"

[routes.fhir]
path = "/fhir"
upstream = "hapi"
authentication = "none"
"#;

fn problems(text: &str) -> Vec<String> {
    match Config::parse(text, Path::new("/nowhere/fireguard.toml")) {
        Ok(_) => Vec::new(),
        // What a person sees: message, place and advice.
        Err(report) => vec![format!("{:?}", miette::Report::new(report))],
    }
}

#[test]
fn the_smallest_configuration_has_the_defaults() {
    let config = Config::parse(GOOD, Path::new("fireguard.toml")).unwrap();
    assert_eq!(config.server.listen.to_string(), defaults::LISTEN);
    assert_eq!(config.admin.to_string(), defaults::ADMIN_LISTEN);
    assert_eq!(config.limits.answer_head.0, defaults::ANSWER_HEAD);
    assert_eq!(config.limits.retry_attempts.get(), defaults::RETRY_ATTEMPTS);
    assert_eq!(config.routes[0].prefix, "/fhir");
    assert_eq!(config.routes[0].upstream.to_string(), "http://127.0.0.1:8080/fhir");
}

#[test]
fn the_template_of_init_is_valid() {
    let text = include_str!("../cli/template.toml")
        .replace("{upstream}", "http://hapi:8080/fhir")
        .replace("{listen}", "127.0.0.1:0");
    assert_eq!(problems(&text), Vec::<String>::new());
    // The settings that stand there as comments are settings, too.
    let settings: Vec<_> = text
        .lines()
        .map(|line| {
            line.strip_prefix("# ").filter(|l| l.contains(" = ") || l.starts_with('[')).unwrap_or(line)
        })
        .collect();
    let all = problems(&settings.join("\n")).concat();
    assert!(!all.contains("unknown"), "{all}");
}

#[test]
fn messages_point_into_the_file_and_suggest_the_near_miss() {
    for (wrong, right, expected) in [
        (
            "upstream = \"hapi\"",
            "upstream = \"hapy\"",
            &["no upstream named \"hapy\"", "did you mean \"hapi\"", ":7:"][..],
        ),
        ("path = ", "pth = ", &["unknown field `pth`", "did you mean \"path\"", ":6:"]),
        ("[upstreams.hapi]", "[upsteams.hapi]", &["unknown field `upsteams`", "did you mean \"upstreams\""]),
        (
            "path = \"/fhir\"",
            "path = \"/fhir\"\nrequest_body = \"65MiB\"",
            &["no larger bodies than limits.request_body", ":7:"],
        ),
        ("path = \"/fhir\"", "path = \"/fhir\"\nrequests_at_once = 0", &["requests_at_once"]),
        ("path = \"/fhir\"", "path = \"fhir\"", &["a path starts with /", ":6:"]),
        ("path = \"/fhir\"", "path = \"/a/../b\"", &["a path starts with /"]),
        (
            "path = \"/fhir\"",
            "path = \"/fhir\"\nplugins = [\"deid\"]",
            &["no plugin named \"deid\"", "there are none"],
        ),
        (
            "path = \"/fhir\"",
            "path = \"/fhir\"\nxml = true\nplugins = [\"deid\"]",
            &["plugins see JSON", ":8:"],
        ),
        (
            "path = \"/fhir\"",
            "path = \"/fhir\"\noperations = [\"everything\"]",
            &["the operation \"everything\"", ":7:"],
        ),
        (
            "path = \"/fhir\"",
            "path = \"/fhir\"\nsearch_parameters = [\"Patient.gendr\"]",
            &["Patient.gendr", ":7:"],
        ),
        (
            "path = \"/fhir\"",
            "path = \"/fhir\"\nrate = { per_second = 0, burst = 1 }",
            &["a rate is a number over 0", ":7:"],
        ),
        ("path = \"/fhir\"", "path = \"/fhir\"\nrate = { per_second = 1, burst = 0 }", &["nonzero"]),
        (
            "path = \"/fhir\"",
            "path = \"/fhir\"\nrate = { per_second = 1 }",
            &["both per_second and burst", ":7:"],
        ),
        ("path = \"/fhir\"", "path = \"/fhir\"\nrate = {}", &["this rate limits nothing", ":7:"]),
        (
            "path = \"/fhir\"",
            "path = \"/fhir\"\nrate.search = { burst = 1 }",
            &["both per_second and burst, its own or the route's", ":7:"],
        ),
        (
            "path = \"/fhir\"",
            "path = \"/fhir\"\nrate.serach = { burst = 1 }",
            &["unknown field `serach`", "did you mean \"search\"", ":7:"],
        ),
        ("path = \"/fhir\"", "path = \"/fhir\"\ncors = { origins = [\"*\"] }", &["name the origins", ":7:"]),
        (
            "path = \"/fhir\"",
            "path = \"/fhir\"\ncors = { origins = [\"https://app.example/\"] }",
            &["a scheme, a host and no path", ":7:"],
        ),
        (
            "path = \"/fhir\"",
            "path = \"/fhir\"\ncors = { origins = [\"null\"] }",
            &["a scheme, a host and no path"],
        ),
        ("[routes.fhir]", "[limits]\nrate_ipv6_prefix = 129\n[routes.fhir]", &["has 1 to 128 bits", ":6:"]),
        ("http://127.0.0.1:8080/fhir", "127.0.0.1:8080/fhir", &["starts with http://", ":3:"]),
        (
            "[routes.fhir]",
            "[limits]\nconnect = \"fast\"\n[routes.fhir]",
            &["a time is a number and a unit", ":6:"],
        ),
        (
            "[routes.fhir]",
            "[limits]\nrequest_body = \"5 apples\"\n[routes.fhir]",
            &["a size is a number and a unit"],
        ),
        (
            "[routes.fhir]",
            "[server]\nproxy_protocol = true\n[routes.fhir]",
            &["proxy_protocol needs trusted_peers"],
        ),
        ("[routes.fhir]", "[limits]\nconnect = 60\n[routes.fhir]", &["a time is a number and a unit", ":6:"]),
        (
            "[routes.fhir]",
            "[limits]\nrequest_body = 4096\n[routes.fhir]",
            &["a size is a number and a unit", ":6:"],
        ),
        ("[routes.fhir]", "[server]\nlisten = \"8088\"\n[routes.fhir]", &["write an IP address and a port"]),
        (
            "[routes.fhir]",
            "[server]\ntls = { certificate = \"c.pem\", key = \"-----BEGIN\" }\n[routes.fhir]",
            &["a secret is not written here"],
        ),
        (
            "[routes.fhir]",
            "[routes.other]\npath = \"/fhir/r4\"\nupstream = \"hapi\"\nauthentication = \"none\"\n[routes.fhir]",
            &["the routes fhir and other overlap"],
        ),
    ] {
        let found = problems(&GOOD.replacen(wrong, right, 1)).concat();
        for part in expected {
            assert!(found.contains(part), "{right}: {part:?} is not in\n{found}");
        }
    }
}

#[test]
fn a_secret_in_the_file_is_not_repeated() {
    let digits = "1234567890123456789";
    for (written, said) in [
        (format!("\"{digits}\""), "line 11: a secret is not written here"),
        (digits.to_owned(), "line 11: a secret is not written here"),
        (format!("[\"{digits}\"]"), "line 11: a secret is not written here"),
        // No TOML at all.
        (format!("x{digits}"), "line 11: "),
        (format!("\"{digits}"), "line 11: "),
    ] {
        let text = GOOD.to_owned()
            + &format!("[plugins.deid]\ncomponent = \"x.wasm\"\ngrants.pseudonym = {{ key = {written} }}\n");
        let shown = problems(&text).concat();
        assert!(shown.contains(said), "{shown}");
        assert!(!shown.contains(digits), "{shown}");
        let beside = text.replace("component =", "komponent =");
        assert!(!problems(&beside).concat().contains(digits), "{beside}");
    }
}

#[test]
fn a_digest_is_written_in_full() {
    let digits = "0123456789abcdefABCDEF0123456789".repeat(2);
    for (written, good) in [
        (format!("sha256:{digits}"), true),
        (digits.clone(), false),
        (format!("sha256:{}", &digits[1..]), false),
        (format!("sha256:{digits}00"), false),
        (format!("sha256:{}g", &digits[1..]), false),
        (String::new(), false),
    ] {
        let text =
            GOOD.to_owned() + &format!("[plugins.deid]\ncomponent = \"x.wasm\"\ndigest = {written:?}\n");
        let found = problems(&text).concat();
        assert_eq!(!found.contains("64 hexadecimal digits"), good, "{written}: {found}");
        assert!(found.contains("there is no file"), "{found}");
    }
}
