//! The reference pages and the JSON Schema under `docs/reference`, made from the types. The tests fail when the
//! committed files differ; `UPDATE_DOCS=1 cargo test -p fireguard` writes them.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use fireguard_access::authentication::Algorithm;
use serde_json::{Map, Value};

use super::defaults;
use super::file::File;

#[test]
fn the_committed_schema_is_that_of_the_types() {
    let schema = serde_json::to_string_pretty(&schemars::schema_for!(File)).unwrap() + "\n";
    compare("fireguard.schema.json", &schema);
}

#[test]
fn the_committed_reference_is_that_of_the_types() {
    let schema = serde_json::to_value(schemars::schema_for!(File)).unwrap();
    let mut page = Page { definitions: &schema["$defs"], text: HEAD.to_owned(), unused: table() };
    page.table("", &schema);
    assert_eq!(page.unused, BTreeSet::new(), "defaults of settings that do not exist");
    compare("configuration.md", &page.text);
}

const HEAD: &str = "# Configuration reference

Strict TOML: an unknown key is an error. Relative paths count from the file's own folder. A secret is never written
into the file: say `env:NAME` or `file:PATH`. Times are written `\"500ms\"`, `\"30s\"`, `\"5m\"`; sizes `\"64KiB\"`, `\"16MiB\"`.
`fireguard check` reads a file and says what is wrong with it; [`fireguard.schema.json`](fireguard.schema.json) is for
editors. This page is made from the code.
";

/// Setting, default.
fn table() -> BTreeSet<(&'static str, String)> {
    let time = |t: std::time::Duration| {
        format!("`\"{}\"`", humantime::format_duration(t).to_string().replace(' ', ""))
    };
    let size = |bytes: u64| match bytes {
        b if b % (1 << 20) == 0 => format!("`\"{}MiB\"`", b >> 20),
        b => format!("`\"{}KiB\"`", b >> 10),
    };
    let text = |t: &str| format!("`\"{t}\"`");
    BTreeSet::from([
        ("server.listen", text(defaults::LISTEN)),
        ("server.workers", "all cores".into()),
        ("server.runtime", text("per-core")),
        ("server.trusted_peers", "`[]`".into()),
        ("server.proxy_protocol", "`false`".into()),
        ("server.cache", "systemd's, or none".into()),
        ("admin.listen", text(defaults::ADMIN_LISTEN)),
        ("server.tls.client_auth", text("optional")),
        ("server.tls.client_crls", "`[]`".into()),
        ("users.lifetime", time(defaults::USER_TOKEN)),
        ("upstreams.*.sheds_before_working", "`false`".into()),
        ("upstreams.*.replicas", "`[]`".into()),
        ("upstreams.*.resolve_interval", time(defaults::RESOLVE_INTERVAL)),
        ("upstreams.*.tls.ca", "the machine's".into()),
        ("upstreams.*.health.path", text(defaults::HEALTH_PATH)),
        ("upstreams.*.health.interval", time(defaults::HEALTH_INTERVAL)),
        ("upstreams.*.health.timeout", time(defaults::HEALTH_TIMEOUT)),
        ("upstreams.*.health.unhealthy_after", format!("`{}`", defaults::UNHEALTHY_AFTER)),
        ("upstreams.*.health.healthy_after", format!("`{}`", defaults::HEALTHY_AFTER)),
        ("upstreams.*.health.eject_after", format!("`{}`", defaults::EJECT_AFTER)),
        ("upstreams.*.concurrency.start", format!("`{}`", defaults::CONCURRENCY_START)),
        ("upstreams.*.concurrency.least", format!("`{}`", defaults::CONCURRENCY_LEAST)),
        ("upstreams.*.concurrency.most", format!("`{}`", defaults::CONCURRENCY_MOST)),
        ("upstreams.*.concurrency.queue", format!("`{}`", defaults::QUEUE)),
        ("upstreams.*.concurrency.queue_time", time(defaults::QUEUE_TIME)),
        ("upstreams.*.breaker.faults", format!("`{}`", defaults::BREAKER_FAULTS)),
        ("issuers.*.algorithms", format!("`{:?}`", Algorithm::ALL.map(Algorithm::as_str))),
        ("issuers.*.clients", "all".into()),
        ("issuers.*.clock_skew", time(defaults::CLOCK_SKEW)),
        ("issuers.*.keys", "by discovery".into()),
        ("issuers.*.keys_stale", time(defaults::KEYS_STALE)),
        ("issuers.*.scopes", text("smart")),
        ("issuers.*.introspection.url", "by discovery".into()),
        ("issuers.*.introspection.tokens", text("opaque")),
        ("issuers.*.claims.roles", text("/realm_access/roles")),
        ("issuers.*.claims.tenant", text("/tenant")),
        ("issuers.*.claims.patient", text("/patient")),
        ("issuers.*.claims.fhir_user", text("/fhirUser")),
        ("issuers.*.claims.purpose", text("/extensions/ihe_iua/purpose_of_use")),
        ("routes.*.forward_authorization", "`false`".into()),
        ("audit.level", text("patient")),
        ("audit.when_full", text("refuse")),
        ("audit.waiting", format!("`{}`", defaults::AUDIT_WAITING)),
        ("audit.references", "`false`".into()),
        ("audit.file_size", size(defaults::AUDIT_FILE)),
        ("audit.gather", time(defaults::AUDIT_GATHER)),
        ("buckets.*.endpoint", "AWS".into()),
        ("buckets.*.region", format!("`\"{}\"`; required at AWS", defaults::BUCKET_REGION)),
        ("buckets.*.path_style", "`true` with `endpoint`, `false` at AWS".into()),
        ("buckets.*.access_key", "AWS's default chain".into()),
        ("buckets.*.secret_key", "AWS's default chain".into()),
        ("buckets.*.sse", "the bucket's".into()),
        ("buckets.*.sse_kms", "the bucket's".into()),
        ("buckets.*.ca", "the machine's".into()),
        ("buckets.*.timeout", time(defaults::BUCKET_TIMEOUT)),
        ("routes.*.audit", "`true`".into()),
        ("routes.*.policies", "`\"enforce\"` where there are policies, `\"none\"` otherwise".into()),
        ("routes.*.read_only", "`false`".into()),
        ("routes.*.operations", format!("`{:?}`", fireguard_fhir::operations::READ_ONLY_DEFAULT)),
        ("routes.*.search_parameters", "all".into()),
        ("routes.*.subscription_endpoints", "`[]`".into()),
        ("routes.*.compression", "`false`".into()),
        ("routes.*.xml", "`false`".into()),
        ("upstreams.*.gzip", "`false`".into()),
        ("routes.*.plugins", "`[]`".into()),
        ("routes.*.only_obliged", "`[]`".into()),
        ("routes.*.hapi.fresh_searches", "`true`".into()),
        ("routes.*.hapi.check_versions", "`true`".into()),
        ("routes.*.hapi.check_transactions", "`true`".into()),
        ("plugins.*.on_failure", text("refuse")),
        ("plugins.*.grants.retarget", "`false`".into()),
        ("plugins.*.cpu_per_call", time(defaults::PLUGIN_CPU)),
        ("plugins.*.wall_per_call", time(defaults::PLUGIN_WALL)),
        ("plugins.*.memory", size(defaults::PLUGIN_MEMORY)),
        ("plugins.*.table_elements", format!("`{}`", defaults::PLUGIN_TABLES)),
        ("plugins.*.reuse.uses", format!("`{}`", defaults::REUSE_USES)),
        ("plugins.*.reuse.idle", time(defaults::REUSE_IDLE)),
        ("plugins.*.reuse.memory", size(defaults::REUSE_MEMORY)),
        ("plugins.*.reuse.kept", format!("`{}`", defaults::REUSE_KEPT)),
        ("plugins.*.grants.pseudonym.project", "`\"\"`".into()),
        (
            "plugins.*.grants.pseudonym.date_range_days",
            format!("`{}`", fireguard_plugin_host::PseudonymGrant::DATE_RANGE_DAYS),
        ),
        ("plugins.*.grants.pseudonym.open", "`false`".into()),
        ("plugins.*.grants.key_value.entries", format!("`{}`", defaults::PLUGIN_VALUES)),
        ("plugins.*.grants.key_value.bytes", size(defaults::PLUGIN_VALUE_BYTES)),
        ("plugins.*.grants.fhir_client.route", "the request's".into()),
        ("plugins.*.grants.object_store.bytes", size(defaults::PLUGIN_OBJECTS)),
        ("plugins.*.grants.http_out.private", "`[]`".into()),
        ("plugins.*.grants.http_out.ca", "the machine's".into()),
        ("plugins.*.grants.http_out.timeout", time(fireguard_plugin_host::HttpOutGrant::TIMEOUT)),
        ("plugins.*.grants.http_out.body", size(fireguard_plugin_host::HttpOutGrant::BODY_BYTES as u64)),
        ("state.directory", "systemd's, or none".into()),
        ("limits.client_head", time(defaults::CLIENT_HEAD)),
        ("limits.client_idle", time(defaults::CLIENT_IDLE)),
        ("limits.client_unread", time(defaults::CLIENT_UNREAD)),
        ("limits.connections", format!("`{}`", defaults::CONNECTIONS)),
        ("limits.h2_streams", format!("`{}`", defaults::H2_STREAMS)),
        ("limits.request_head", size(defaults::REQUEST_HEAD_BYTES)),
        ("limits.request_url", size(defaults::REQUEST_URL_BYTES)),
        ("limits.request_parameters", format!("`{}`", defaults::REQUEST_PARAMETERS)),
        ("limits.request_body", size(defaults::REQUEST_BODY)),
        ("limits.request_body_total", time(defaults::REQUEST_BODY_TOTAL)),
        ("limits.resource", size(defaults::RESOURCE)),
        ("limits.connect", time(defaults::CONNECT)),
        ("limits.upstream_head", size(defaults::UPSTREAM_HEAD_BYTES)),
        ("limits.answer_head", time(defaults::ANSWER_HEAD)),
        ("limits.bundle_answer_head", time(defaults::BUNDLE_ANSWER_HEAD)),
        ("limits.body_idle", time(defaults::BODY_IDLE)),
        ("limits.replay", size(defaults::REPLAY)),
        ("limits.retry_attempts", format!("`{}`", defaults::RETRY_ATTEMPTS)),
        ("pages.lifetime", time(defaults::PAGE_LIFETIME)),
        ("limits.retry_longest_wait", time(defaults::RETRY_LONGEST_WAIT)),
        ("limits.rate_ipv6_prefix", format!("`{}`", defaults::RATE_IPV6_PREFIX)),
        ("limits.drain", time(defaults::DRAIN)),
        ("log.format", text("json")),
        ("log.level", text("info")),
    ])
}

struct Page<'a> {
    definitions: &'a Value,
    text: String,
    unused: BTreeSet<(&'static str, String)>,
}

impl Page<'_> {
    /// A heading and a table for one TOML table, then those inside it.
    fn table(&mut self, path: &str, schema: &Value) {
        let empty = Map::new();
        let properties = schema["properties"].as_object().unwrap_or(&empty);
        let required: Vec<_> =
            schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let (mut rows, mut inner) = (String::new(), Vec::new());
        for (name, property) in properties {
            let at = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            let described = resolve(self.definitions, property);
            if described["properties"].is_object() {
                let mut described = described.clone();
                // Several settings may be of one type.
                if let Some(own) = property["description"].as_str() {
                    described["description"] = own.into();
                }
                inner.push((at, described));
            } else if let Some(each) =
                property.get("additionalProperties").filter(|p| p.get("$ref").is_some())
            {
                inner.push((format!("{at}.*"), resolve(self.definitions, each).clone()));
            } else {
                let default = self.default(&at, required.contains(&name.as_str()));
                let description = property["description"].as_str().or(described["description"].as_str());
                let description = description.unwrap_or_default().replace('\n', " ");
                let values = values(described);
                writeln!(rows, "| `{name}` | {description}{values} | {default} |").unwrap();
            }
        }
        if !rows.is_empty() {
            let heading = path.replace(".*", ".<name>");
            let about = schema["description"].as_str().unwrap_or_default();
            write!(
                self.text,
                "\n## `[{heading}]`\n\n{about}\n\n| setting | what | default |\n| --- | --- | --- |\n{rows}"
            )
            .unwrap();
        }
        for (path, schema) in inner {
            self.table(&path, &schema);
        }
    }

    fn default(&mut self, path: &str, required: bool) -> String {
        let known = self.unused.iter().find(|(setting, _)| *setting == path).cloned();
        match known {
            Some(entry) => {
                self.unused.remove(&entry);
                entry.1
            }
            None if required => "required".into(),
            None => "none".into(),
        }
    }
}

/// Follows a reference, through an optional one too.
fn resolve<'v>(definitions: &'v Value, schema: &'v Value) -> &'v Value {
    let schema = schema["anyOf"].get(0).unwrap_or(schema);
    let name = schema["$ref"].as_str().and_then(|r| r.strip_prefix("#/$defs/"));
    name.map_or(schema, |name| &definitions[name])
}

/// The words a setting may have, if only some.
fn values(schema: &Value) -> String {
    let words: Vec<_> =
        schema["oneOf"].as_array().into_iter().flatten().filter_map(|v| v["const"].as_str()).collect();
    if words.is_empty() { String::new() } else { format!(" One of `{}`.", words.join("`, `")) }
}

fn compare(name: &str, expected: &str) {
    let path: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference").join(name);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        return std::fs::write(&path, expected).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == expected,
        "docs/reference/{name} is out of date: UPDATE_DOCS=1 cargo test -p fireguard"
    );
}
