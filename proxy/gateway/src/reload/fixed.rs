//! What cannot be changed while it is served: sockets, threads and the form of the log belong to the process.

use crate::config::{Config, Problem, place};

/// Table and name of each setting that only a new process takes, and its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fixed([([&'static str; 2], String); 7]);

impl Fixed {
    /// Those of this configuration.
    pub(super) fn of(config: &Config) -> Self {
        let server = &config.server;
        Self([
            (["server", "listen"], server.listen.to_string()),
            (["server", "workers"], server.workers.to_string()),
            (["server", "runtime"], format!("{:?}", server.runtime)),
            (["server", "cache"], format!("{:?}", server.cache)),
            (["state", "directory"], format!("{:?}", config.state)),
            (["admin", "listen"], config.admin.to_string()),
            (["log", "format"], format!("{:?}", config.log.format)),
        ])
    }

    /// A problem for each that differs from what is served; `text` is where these were read.
    pub(super) fn differs(&self, served: &Self, text: &str) -> Vec<Problem> {
        let pairs = self.0.iter().zip(&served.0).filter(|(new, old)| new != old);
        let problem = |(([table, name], _), _): (&([&str; 2], String), _)| Problem {
            message: format!("{table}.{name} cannot be changed while it is served"),
            span: place(text, &[table, name]),
            help: Some("put it back, or start a successor with SIGUSR2, which takes it".to_owned()),
        };
        pairs.map(problem).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const TEXT: &str = "[server]\nworkers = 2\n[upstreams.hapi]\nurl = \"http://127.0.0.1:8080/fhir\"\n\
                        [routes.fhir]\npath = \"/fhir\"\nupstream = \"hapi\"\nauthentication = \"none\"\n";

    #[test]
    fn each_difference_is_named_where_it_stands() {
        let fixed = |text: &str| Fixed::of(&Config::parse(text, Path::new("fireguard.toml")).unwrap());
        let served = fixed(TEXT);
        for (from, to, expected) in [
            ("url = \"http://127.0.0.1:8080/fhir\"", "url = \"http://127.0.0.1:8081/fhir\"", None),
            ("workers = 2", "workers = 3", Some(("server.workers", Some("3")))),
            (
                "workers = 2",
                "workers = 2\nruntime = \"shared\"",
                Some(("server.runtime", Some("\"shared\""))),
            ),
            ("workers = 2", "workers = 2\ncache = \"c\"", Some(("server.cache", Some("\"c\"")))),
            (
                "[server]",
                "[server]\nlisten = \"127.0.0.1:1\"",
                Some(("server.listen", Some("\"127.0.0.1:1\""))),
            ),
            (
                "[server]",
                "admin = { listen = \"127.0.0.1:1\" }\n[server]",
                Some(("admin.listen", Some("\"127.0.0.1:1\""))),
            ),
            ("[server]", "[log]\nformat = \"text\"\n[server]", Some(("log.format", Some("\"text\"")))),
        ] {
            let text = TEXT.replace(from, to);
            let problems = fixed(&text).differs(&served, &text);
            let found = problems.first().map(|problem| {
                (problem.message.split(' ').next().unwrap(), problem.span.clone().map(|span| &text[span]))
            });
            assert_eq!((found, problems.len()), (expected, usize::from(expected.is_some())), "{to}");
        }
        let without = TEXT.replace("[server]\nworkers = 2\n", "[server]\nworkers = 1\n");
        assert_eq!(fixed(&without).differs(&served, "")[0].span, None);
    }
}
