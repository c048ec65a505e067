//! Who may come in, in words: for `fireguard check` and `fireguard doctor`.

use fireguard_fhir::base::Scheme;

use crate::config::{Authentication, Config, Way};

/// A line for each route, and one for each thing that is seldom meant so.
pub(super) fn lines(config: &Config) -> Vec<String> {
    let mut lines = Vec::new();
    for route in &config.routes {
        let line = match &route.authentication {
            Authentication::None if route.surface.is_read_only() => {
                format!(
                    "route {} is open to anyone: whoever reaches it reads all that it lets through",
                    route.name
                )
            }
            Authentication::None => {
                format!("route {} is open to anyone: whoever reaches it reads and writes", route.name)
            }
            Authentication::Ways(ways) => {
                let ways: Vec<_> = ways.iter().map(words).collect();
                format!("route {} lets in {}", route.name, ways.join("; "))
            }
        };
        lines.push(line);
    }
    let secret = |way: &Way| !matches!(way, Way::Certificates);
    let secrets = config.routes.iter().any(|route| match &route.authentication {
        Authentication::None => false,
        Authentication::Ways(ways) => ways.iter().any(secret),
    });
    if secrets && !is_encrypted(config) {
        lines.push("tokens and passwords come in unencrypted: add [server.tls], or set public_url where a balancer does TLS".into());
    }
    lines
}

fn words(way: &Way) -> String {
    match way {
        Way::Issuer(issuer) => format!("who has a token of {} ({})", issuer.name, issuer.url),
        Way::Users => "users of the file who log in".to_owned(),
        Way::Certificates => "clients with a certificate that is mapped".to_owned(),
    }
}

/// Whether what clients send is encrypted on its way, or stays on this machine.
fn is_encrypted(config: &Config) -> bool {
    let public = config.server.public_url.as_ref().is_some_and(|url| url.scheme() == Scheme::Https);
    config.server.tls.is_some() || public || config.server.listen.ip().is_loopback()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn open_routes_and_open_lines_are_told() {
        let text = |server: &str, authentication: &str, more: &str| {
            format!(
                "[server]\n{server}\n[issuers.id]\nurl = \"https://id.example\"\naudience = [\"x\"]\n\
                 [upstreams.hapi]\nurl = \"http://127.0.0.1:9/fhir\"\n[routes.fhir]\npath = \"/fhir\"\n\
                 upstream = \"hapi\"\nauthentication = {authentication}\n{more}\n"
            )
        };
        let (away, issuer) = ("listen = \"0.0.0.0:0\"", "[\"id\"]");
        for (server, authentication, more, expected) in [
            (away, "\"none\"", "", &["open to anyone: whoever reaches it reads and writes"][..]),
            (away, "\"none\"", "read_only = true", &["open to anyone: whoever reaches it reads all"]),
            ("", issuer, "", &["route fhir lets in who has a token of id (https://id.example)"]),
            (away, issuer, "", &["lets in who has a token of id", "come in unencrypted"]),
            (
                "listen = \"0.0.0.0:0\"\npublic_url = \"https://fhir.example\"",
                issuer,
                "",
                &["lets in who has a token of id"],
            ),
        ] {
            let text = text(server, authentication, more);
            let told = lines(&Config::parse(&text, Path::new("fireguard.toml")).unwrap());
            assert_eq!(told.len(), expected.len(), "{told:?}");
            for (told, expected) in told.iter().zip(expected) {
                assert!(told.contains(expected), "{told}");
            }
        }
    }
}
