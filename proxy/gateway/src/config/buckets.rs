//! Buckets of S3 servers: as they are written, and resolved.

use std::collections::BTreeMap;

use fireguard_fhir::base::Base;
use fireguard_plugin_host::is_object_name;
use fireguard_state::s3::{Access, Bucket, BucketFault, Place, Sse};
use schemars::JsonSchema;
use serde::Deserialize;
use toml::Spanned;

use super::resolve::Resolver;
use super::units::{SecretSource, Time};
use super::{Problem, defaults};

/// A bucket of an S3 server: AWS, or one that speaks as it does.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct S3Bucket {
    /// The bucket's name on the server. It is not made: it must be there.
    #[schemars(with = "String")]
    pub bucket: Spanned<String>,
    /// The URL of the server: `https://s3.example.org:9000`. Without it: AWS, in the region.
    #[schemars(with = "Option<String>")]
    pub endpoint: Option<Spanned<String>>,
    /// The region: `eu-central-1`. Servers that have none take the default.
    #[schemars(with = "Option<String>")]
    pub region: Option<Spanned<String>>,
    /// What the keys of all objects begin with: `hospital/`.
    #[schemars(with = "Option<String>")]
    pub prefix: Option<Spanned<String>>,
    /// Whether the bucket stands in the path of URLs instead of in their host.
    pub path_style: Option<bool>,
    /// The name of the key that requests are signed with: `env:NAME` or `file:PATH`. Without it: what AWS's default chain
    /// finds, in the environment, by a web identity, or with the container or machine.
    #[schemars(with = "Option<SecretSource>")]
    pub access_key: Option<Spanned<SecretSource>>,
    /// The key: `env:NAME` or `file:PATH`.
    #[schemars(with = "Option<SecretSource>")]
    pub secret_key: Option<Spanned<SecretSource>>,
    /// How objects are encrypted where they are kept; without it as the bucket says.
    pub sse: Option<Encryption>,
    /// The id of the key for `sse = "aws:kms"`; without it the bucket's.
    #[schemars(with = "Option<String>")]
    pub sse_kms: Option<Spanned<String>>,
    /// PEM file with certificates of authorities that are trusted besides the machine's.
    #[schemars(with = "Option<String>")]
    pub ca: Option<Spanned<String>>,
    /// How long one attempt may take; there are up to three.
    #[serde(default = "timeout")]
    pub timeout: Time,
}

/// How objects are encrypted where they are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum Encryption {
    /// With keys of the server.
    #[serde(rename = "AES256")]
    Aes256,
    /// With a key of its key management.
    #[serde(rename = "aws:kms")]
    Kms,
}

impl Resolver<'_> {
    /// Those that hold together. No server is asked.
    pub(super) fn buckets(
        &mut self,
        buckets: &BTreeMap<String, Spanned<S3Bucket>>,
    ) -> BTreeMap<String, Bucket> {
        let resolve = |(name, written): (&String, &Spanned<S3Bucket>)| {
            Some((name.clone(), self.bucket(name, written)?))
        };
        buckets.iter().filter_map(resolve).collect()
    }

    fn bucket(&mut self, name: &str, written: &Spanned<S3Bucket>) -> Option<Bucket> {
        let bucket = written.get_ref();
        let on_server = self.parsed(&bucket.bucket, bucket_name);
        let endpoint = bucket.endpoint.as_ref().map(|url| self.parsed(url, endpoint));
        let region = match (&bucket.region, &bucket.endpoint) {
            (Some(region), _) => self.parsed(region, region_name),
            (None, Some(_)) => Some(defaults::BUCKET_REGION.to_owned()),
            (None, None) => {
                let help =
                    "name it: region = \"eu-central-1\"; or name another server: endpoint = \"https://…\"";
                let problem = Problem::at(written.span(), "a bucket at AWS is in a region").help(help);
                self.problems.push(problem);
                None
            }
        };
        let prefix = match &bucket.prefix {
            Some(prefix) => self.parsed(prefix, key_prefix),
            None => Some(String::new()),
        };
        let access = self.access(written);
        let sse = match (bucket.sse, &bucket.sse_kms) {
            (Some(Encryption::Kms), key) => Sse::Kms(key.as_ref().map(|key| key.get_ref().clone())),
            (_, Some(key)) => {
                self.problem(key, "a key of the key management goes with sse = \"aws:kms\"");
                return None;
            }
            (Some(Encryption::Aes256), None) => Sse::Aes256,
            (None, None) => Sse::Default,
        };
        let authorities = bucket.ca.as_ref().map(|path| self.read(path));
        let made = Bucket::new(Place {
            name: name.to_owned(),
            path_style: bucket.path_style.unwrap_or(bucket.endpoint.is_some()),
            endpoint: endpoint.map_or(Some(None), |endpoint| endpoint.map(Some))?,
            region: region?,
            bucket: on_server?,
            prefix: prefix?,
            access: access?,
            sse,
            authorities: authorities.map_or(Some(None), |authorities| authorities.map(Some))?,
            timeout: bucket.timeout.0,
        });
        made.map_err(|fault: BucketFault| {
            let place = bucket.ca.as_ref().map_or(written.span(), Spanned::span);
            self.problems.push(Problem::at(place, fault.to_string()));
        })
        .ok()
    }

    /// The keys, if there are any; none: they are wrong.
    fn access(&mut self, written: &Spanned<S3Bucket>) -> Option<Option<Access>> {
        let S3Bucket { access_key, secret_key, .. } = written.get_ref();
        let (Some(key), Some(secret)) = (access_key, secret_key) else {
            if let Some(one) = access_key.as_ref().or(secret_key.as_ref()) {
                let message = "access_key and secret_key go together";
                self.problems.push(Problem::at(one.span(), message));
                return None;
            }
            return Some(None);
        };
        let (key, secret) = (self.word(key), self.word(secret));
        Some(Some(Access { key: key?, secret: secret?.into() }))
    }

    fn word(&mut self, source: &Spanned<SecretSource>) -> Option<String> {
        let secret = self.secret(source)?;
        match std::str::from_utf8(secret.expose()) {
            Ok(text) if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic()) => {
                Some(text.to_owned())
            }
            _ => {
                let message = "a key of S3 is one word of letters, digits and signs";
                self.problems.push(Problem::at(source.span(), message));
                None
            }
        }
    }
}

fn bucket_name(text: &str) -> Result<String, &'static str> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let inside = text.bytes().all(|byte| plain(byte) || byte == b'-' || byte == b'.');
    let ends = text.bytes().next().is_some_and(plain) && text.bytes().last().is_some_and(plain);
    match (3..=63).contains(&text.len()) && inside && ends && !text.contains("..") {
        true => Ok(text.to_owned()),
        false => Err("a bucket's name has 3 to 63 small letters, digits, '-' and '.'"),
    }
}

fn endpoint(text: &str) -> Result<String, &'static str> {
    let base = Base::parse(text).ok().filter(|base| base.path().is_empty());
    base.map(|base| base.to_string())
        .ok_or("an endpoint is a scheme, a host and perhaps a port: \"https://s3.example.org\"")
}

fn region_name(text: &str) -> Result<String, &'static str> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    let good = (1..=63).contains(&text.len()) && text.bytes().all(plain);
    if good { Ok(text.to_owned()) } else { Err("a region has letters, digits and '-': \"eu-central-1\"") }
}

fn key_prefix(text: &str) -> Result<String, &'static str> {
    match text.strip_suffix('/').is_some_and(is_object_name) {
        true => Ok(text.to_owned()),
        false => Err(
            "a prefix has segments of letters, digits, '.', '-', '_' and '=', and ends with '/': \"hospital/\"",
        ),
    }
}

fn timeout() -> Time {
    Time(defaults::BUCKET_TIMEOUT)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::config::Config;

    fn parse(bucket: &str) -> Result<Config, String> {
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in
            [("key", "AKIA"), ("secret", "s3cr3t\n"), ("bad", "two words"), ("ca.pem", "no PEM")]
        {
            std::fs::write(folder.path().join(name), content).unwrap();
        }
        let text = format!(
            "[upstreams.hapi]\nurl = \"http://127.0.0.1:8080/fhir\"\n[routes.fhir]\npath = \"/fhir\"\n\
             upstream = \"hapi\"\nauthentication = \"none\"\n[buckets.b]\n{bucket}\n"
        );
        Config::parse(&text, &folder.path().join(Path::new("fireguard.toml"))).map_err(|report| report.text())
    }

    #[test]
    fn what_is_not_said_follows_from_the_rest() {
        let place = |bucket: &str| parse(bucket).unwrap().buckets["b"].place().clone();
        let aws = place("bucket = \"abc\"\nregion = \"eu-central-1\"");
        assert_eq!((aws.endpoint, aws.path_style, aws.access), (None, false, None));
        let own = place(
            "bucket = \"abc\"\nendpoint = \"http://127.0.0.1:9000\"\naccess_key = \"file:key\"\n\
             secret_key = \"file:secret\"\nprefix = \"a/b/\"\nsse = \"aws:kms\"\nsse_kms = \"id\"",
        );
        assert_eq!((own.endpoint.as_deref(), own.path_style), (Some("http://127.0.0.1:9000"), true));
        assert_eq!((&*own.region, &*own.prefix), ("us-east-1", "a/b/"));
        let access = own.access.as_ref().unwrap();
        assert_eq!((&*access.key, access.secret.as_str()), ("AKIA", "s3cr3t"));
        assert!(!format!("{access:?} {:?}", own.access).contains("s3cr3t"));
        assert_eq!(own.sse, fireguard_state::s3::Sse::Kms(Some("id".to_owned())));
    }

    #[test]
    fn what_is_wrong_is_shown_where_it_stands() {
        let here = "endpoint = \"http://127.0.0.1:9000\"";
        for (bucket, expected) in [
            ("bucket = \"abc\"".to_owned(), "a bucket at AWS is in a region"),
            (format!("bucket = \"Abc\"\n{here}"), "a bucket's name has 3 to 63"),
            (format!("bucket = \"a..b\"\n{here}"), "a bucket's name has 3 to 63"),
            ("bucket = \"abc\"\nendpoint = \"s3.example.org\"".to_owned(), "an endpoint is a scheme"),
            (
                "bucket = \"abc\"\nendpoint = \"https://s3.example.org/abc\"".to_owned(),
                "an endpoint is a scheme",
            ),
            ("bucket = \"abc\"\nregion = \"eu central\"".to_owned(), "a region has letters"),
            (format!("bucket = \"abc\"\n{here}\nprefix = \"a\""), "and ends with '/'"),
            (format!("bucket = \"abc\"\n{here}\nprefix = \"../\""), "and ends with '/'"),
            (format!("bucket = \"abc\"\n{here}\naccess_key = \"file:key\""), "go together"),
            (
                format!("bucket = \"abc\"\n{here}\naccess_key = \"file:key\"\nsecret_key = \"file:none\""),
                "cannot read",
            ),
            (
                format!("bucket = \"abc\"\n{here}\naccess_key = \"file:key\"\nsecret_key = \"file:bad\""),
                "is one word",
            ),
            (format!("bucket = \"abc\"\n{here}\nsecret_key = \"s3cr3t\""), "a secret is not written here"),
            (format!("bucket = \"abc\"\n{here}\nsse_kms = \"id\""), "goes with sse = \"aws:kms\""),
            (format!("bucket = \"abc\"\n{here}\nsse = \"aes\""), "unknown variant"),
            (format!("bucket = \"abc\"\n{here}\nca = \"ca.pem\""), "the authorities in `ca` cannot be used"),
            (format!("bucket = \"abc\"\n{here}\npathstyle = true"), "unknown field"),
        ] {
            let text = parse(&bucket).unwrap_err();
            assert!(text.contains(expected), "{bucket}: {text}");
            assert!(!text.contains("two words"), "{text}");
        }
    }
}
