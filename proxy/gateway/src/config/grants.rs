//! What plugins may use of the host: as it is written, and resolved.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use fireguard_plugin_host::{HttpOutGrant, is_object_name};
use fireguard_state::s3::Bucket;
use ipnet::IpNet;
use schemars::JsonSchema;
use serde::Deserialize;
use toml::Spanned;

use super::resolve::Resolver;
use super::units::{Size, Time};
use super::{Problem, defaults, file};

/// Values that outlive a request, of this plugin only. They are kept in the directory of `[state]`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyValue {
    /// How many values it may keep.
    pub entries: Option<NonZeroU32>,
    /// How much they may be together, keys included.
    pub bytes: Option<Size>,
}

/// Translation of codes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Terminology {
    /// Its maps, by the names that the plugin knows them by: files with a ConceptMap (`.json`), or with a table (`.csv`)
    /// under the header `system,code,target_system,target_code,display,equivalence`.
    #[schemars(with = "BTreeMap<String, String>")]
    pub maps: BTreeMap<String, Spanned<String>>,
}

/// Requests to the FHIR server.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FhirClient {
    /// The route whose rules they keep, by the proxy's own right. Without it: that of the request the plugin works on, as
    /// its caller.
    #[schemars(with = "Option<String>")]
    pub route: Option<Spanned<String>>,
}

/// Objects: files in a directory, or in a bucket. One of both is named.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ObjectStore {
    /// The directory. It is made if need be, and belongs to the plugin alone.
    #[schemars(with = "Option<String>")]
    pub directory: Option<Spanned<String>>,
    /// The bucket, of `[buckets]`. The plugin's keys begin with `plugins/`, its name and a slash.
    #[schemars(with = "Option<String>")]
    pub bucket: Option<Spanned<String>>,
    /// How much all objects may be together.
    pub bytes: Option<Size>,
}

/// Requests to other hosts.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpOut {
    /// The hosts, with scheme and perhaps port: `["https://api.example.org"]`. Redirects lead to these only.
    #[schemars(with = "Vec<String>")]
    pub hosts: Vec<Spanned<String>>,
    /// Networks of one's own that they may be in: `["10.1.0.0/16"]`. Without it hosts at private addresses are not reached,
    /// whatever their names.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub private: Vec<Spanned<String>>,
    /// PEM file with certificates of authorities that are trusted besides the machine's.
    #[schemars(with = "Option<String>")]
    pub ca: Option<Spanned<String>>,
    /// How long one request may take, with its answer.
    pub timeout: Option<Time>,
    /// The largest body, in each direction.
    pub body: Option<Size>,
}

/// Grants in which every name leads somewhere, files read.
#[derive(Debug, Default)]
pub struct Granted {
    /// Entries and bytes it may keep.
    pub key_value: Option<(u64, u64)>,
    /// Name, path as written, content.
    pub terminology: Option<Vec<(String, String, Vec<u8>)>>,
    /// The route; none: that of each exchange.
    pub fhir_client: Option<Option<String>>,
    /// Where objects are, and how many bytes they may be.
    pub object_store: Option<(Objects, u64)>,
    /// Where it may send to.
    pub http_out: Option<Reachable>,
}

/// Where a plugin may send to.
#[derive(Debug)]
pub struct Reachable {
    /// Scheme, host, port.
    pub hosts: Vec<String>,
    /// Networks besides the internet.
    pub private: Vec<IpNet>,
    /// PEM bytes of authorities.
    pub ca: Option<Vec<u8>>,
    /// Of one request.
    pub timeout: Duration,
    /// Of one body, in bytes.
    pub body: u64,
}

/// Where the objects of a plugin are.
#[derive(Debug)]
pub enum Objects {
    /// In a directory.
    Directory(PathBuf),
    /// In a bucket, below the plugin's name.
    Bucket(Bucket),
}

impl Resolver<'_> {
    /// The grants of a plugin, but for those that are resolved with it.
    pub(super) fn granted(&mut self, plugin: &str, grants: &file::Grants, file: &file::File) -> Granted {
        Granted {
            key_value: grants.key_value.as_ref().and_then(|grant| self.key_value(grant, file)),
            terminology: grants.terminology.as_ref().map(|grant| self.maps(grant)),
            fhir_client: grants.fhir_client.as_ref().and_then(|grant| self.fhir_client(grant, file)),
            object_store: grants.object_store.as_ref().and_then(|grant| self.objects(plugin, grant, file)),
            http_out: grants.http_out.as_ref().map(|grant| self.reachable(grant)),
        }
    }

    fn key_value(&mut self, grant: &Spanned<KeyValue>, file: &file::File) -> Option<(u64, u64)> {
        if self.state(&file.state).is_none() {
            let message = "there is no directory in which values could be kept";
            let help = "name one: directory = \"…\" in [state], or StateDirectory= in the unit of systemd";
            self.problems.push(Problem::at(grant.span(), message).help(help));
            return None;
        }
        let KeyValue { entries, bytes } = grant.get_ref();
        let entries = entries.map_or(defaults::PLUGIN_VALUES, |entries| u64::from(entries.get()));
        Some((entries, bytes.map_or(defaults::PLUGIN_VALUE_BYTES, |bytes| bytes.0)))
    }

    fn objects(
        &mut self,
        plugin: &str,
        grant: &Spanned<ObjectStore>,
        file: &file::File,
    ) -> Option<(Objects, u64)> {
        let ObjectStore { directory, bucket, bytes } = grant.get_ref();
        let objects = match (directory, bucket) {
            (Some(directory), None) => Objects::Directory(self.path(directory)),
            (None, Some(name)) => {
                if !file.buckets.contains_key(name.get_ref()) {
                    self.unknown("bucket", name, file.buckets.keys().map(String::as_str));
                }
                // Otherwise the objects of one could be below another's.
                if plugin.contains('/') || !is_object_name(plugin) {
                    let message = "a plugin with objects in a bucket has a name of letters, digits, '.', '-', '_' and \
                                   '=', which is part of their keys";
                    self.problem(name, message);
                }
                Objects::Bucket(self.buckets.get(name.get_ref())?.clone())
            }
            _ => {
                let message = "name where objects are: directory = \"…\" or bucket = \"…\"";
                self.problems.push(Problem::at(grant.span(), message));
                return None;
            }
        };
        Some((objects, bytes.map_or(defaults::PLUGIN_OBJECTS, |bytes| bytes.0)))
    }

    fn maps(&mut self, grant: &Terminology) -> Vec<(String, String, Vec<u8>)> {
        let read = |(name, path): (&String, &Spanned<String>)| {
            Some((name.clone(), path.get_ref().clone(), self.read(path)?))
        };
        grant.maps.iter().filter_map(read).collect()
    }

    fn fhir_client(&mut self, grant: &FhirClient, file: &file::File) -> Option<Option<String>> {
        let Some(route) = &grant.route else { return Some(None) };
        if !file.routes.contains_key(route.get_ref()) {
            self.unknown("route", route, file.routes.keys().map(String::as_str));
            return None;
        }
        Some(Some(route.get_ref().clone()))
    }

    fn reachable(&mut self, grant: &HttpOut) -> Reachable {
        for host in &grant.hosts {
            if !HttpOutGrant::is_host(host.get_ref()) {
                self.problem(
                    host,
                    "a host is a scheme, a name and perhaps a port: \"https://api.example.org\"",
                );
            }
        }
        let network = |text: &str| text.parse::<IpNet>().map_err(|_| "not a network: write \"10.1.0.0/16\"");
        Reachable {
            hosts: grant.hosts.iter().map(|host| host.get_ref().clone()).collect(),
            private: grant.private.iter().filter_map(|text| self.parsed(text, network)).collect(),
            ca: grant.ca.as_ref().and_then(|path| self.read(path)),
            timeout: grant.timeout.map_or(HttpOutGrant::TIMEOUT, |time| time.0),
            body: grant.body.map_or(HttpOutGrant::BODY_BYTES as u64, |size| size.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::config::Config;

    fn parse(grants: &str) -> Result<Config, String> {
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in
            [("p.wasm", "x"), ("map.csv", "header"), ("ca.pem", "pem"), ("key", "0123456789abcdef")]
        {
            std::fs::write(folder.path().join(name), content).unwrap();
        }
        let text = format!(
            "[upstreams.hapi]\nurl = \"http://127.0.0.1:8080/fhir\"\n[routes.fhir]\npath = \"/fhir\"\n\
             upstream = \"hapi\"\nauthentication = \"none\"\n[plugins.p]\ncomponent = \"p.wasm\"\n{grants}"
        );
        Config::parse(&text, &folder.path().join(Path::new("fireguard.toml"))).map_err(|report| report.text())
    }

    #[test]
    fn what_is_granted_is_resolved() {
        let config = parse(
            "[plugins.p.grants]\nkey_value = {}\nterminology.maps = { labs = \"map.csv\" }\nfhir_client = {}\n\
             object_store = { directory = \"out\", bytes = \"1MiB\" }\n\
             http_out = { hosts = [\"https://a.example\"], private = [\"10.0.0.0/8\"], ca = \"ca.pem\" }\n\
             pseudonym = { key = \"file:key\", open = true }\n[state]\ndirectory = \"kept\"\n",
        )
        .unwrap();
        let grants = &config.plugins[0].grants;
        assert!(
            config.state.unwrap().ends_with("kept") && config.plugins[0].pseudonym.as_ref().unwrap().open
        );
        assert_eq!(grants.key_value, Some((10_000, 16 << 20)));
        assert_eq!(grants.terminology.as_ref().unwrap()[0].2, b"header");
        assert_eq!(grants.fhir_client, Some(None));
        assert_eq!(grants.object_store.as_ref().unwrap().1, 1 << 20);
        let reachable = grants.http_out.as_ref().unwrap();
        assert_eq!((reachable.private.len(), reachable.ca.as_deref()), (1, Some(&b"pem"[..])));
    }

    #[test]
    fn what_leads_nowhere_is_shown_where_it_stands() {
        for (grants, message) in [
            ("[plugins.p.grants.key_value]\n", "there is no directory in which values could be kept"),
            ("[plugins.p.grants.fhir_client]\nroute = \"fihr\"\n", "there is no route named \"fihr\""),
            ("[plugins.p.grants.terminology]\nmaps = { a = \"none.csv\" }\n", "cannot read"),
            ("[plugins.p.grants.http_out]\nhosts = [\"a.example\"]\n", "a host is a scheme, a name"),
            (
                "[plugins.p.grants.http_out]\nhosts = [\"https://a.example/path\"]\n",
                "a host is a scheme, a name",
            ),
            ("[plugins.p.grants.http_out]\nhosts = [\"https://*.example\"]\n", "a host is a scheme, a name"),
            ("[plugins.p.grants.http_out]\nhosts = []\nprivate = [\"10.0.0.0/99\"]\n", "not a network"),
            ("[plugins.p.grants.http_out]\nhosts = []\nprivat = []\n", "unknown field `privat`"),
            ("[plugins.p.grants.object_store]\nbytes = \"1MiB\"\n", "name where objects are"),
            (
                "[plugins.p.grants.object_store]\nbucket = \"b\"\ndirectory = \"d\"\n",
                "name where objects are",
            ),
            ("[plugins.p.grants.object_store]\nbucket = \"b\"\n", "there is no bucket named \"b\""),
            (
                "[plugins.\"a/b\"]\ncomponent = \"p.wasm\"\n[plugins.\"a/b\".grants]\nobject_store = { bucket = \"b\" }\n\
                 [buckets.b]\nbucket = \"abc\"\nregion = \"eu-central-1\"\n",
                "has a name of letters",
            ),
        ] {
            let text = parse(grants).unwrap_err();
            assert!(text.contains(message), "{grants}: {text}");
        }
    }
}
