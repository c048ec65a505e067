//! A route as the clients of one base URL see it: what depends on the two alone is made once, not for each request.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use fireguard_fhir::base::{Base, BaseError};
use fireguard_fhir::interaction::SealPages;
use fireguard_fhir::urls::{Relative, Rewrite};
use http::{HeaderName, HeaderValue};

use crate::caller::Caller;
use crate::pages::ForCaller;

/// See the module's text.
pub struct Face {
    /// The base URL the client uses.
    pub base: Base,
    /// Turns the server's URLs into the client's.
    to_client: Arc<Rewrite>,
    /// Turns the client's URLs into the server's.
    pub to_server: Arc<Relative>,
    /// What the server is told of the base.
    pub forwarded: [(HeaderName, HeaderValue); 3],
}

impl Face {
    /// What turns the server's URLs into those of this caller, for whom links to pages and jobs are sealed.
    pub fn toward(&self, caller: &Caller) -> Arc<Rewrite> {
        match &caller.links {
            Some(links) => self.sealed(Arc::clone(links)),
            None => Arc::clone(&self.to_client),
        }
    }

    /// The same with links that are sealed so.
    pub fn sealed(&self, links: Arc<ForCaller>) -> Arc<Rewrite> {
        Arc::new(Rewrite::clone(&self.to_client).sealing(links))
    }
}

/// The faces of a route. The last one is kept: most clients use the same base.
pub struct Faces {
    server: Vec<Base>,
    prefix: String,
    pages: Arc<dyn SealPages>,
    last: ArcSwapOption<Known>,
}

struct Known {
    scheme: String,
    host: String,
    face: Arc<Face>,
}

impl Faces {
    /// Of a route with this prefix to a server of these bases.
    pub fn new(server: Vec<Base>, prefix: String, pages: Arc<dyn SealPages>) -> Self {
        Self { server, prefix, pages, last: ArcSwapOption::empty() }
    }

    /// The one toward clients that ask this host (and port).
    ///
    /// # Errors
    /// It is not one.
    pub fn toward(&self, scheme: &str, host: &str) -> Result<Arc<Face>, BaseError> {
        let last = self.last.load();
        if let Some(known) = last.as_ref().filter(|known| known.host == host && known.scheme == scheme) {
            return Ok(Arc::clone(&known.face));
        }
        let face = Arc::new(self.face(scheme, host)?);
        let known = Known { scheme: scheme.to_owned(), host: host.to_owned(), face: Arc::clone(&face) };
        self.last.store(Some(Arc::new(known)));
        Ok(face)
    }

    fn face(&self, scheme: &str, host: &str) -> Result<Face, BaseError> {
        let origin = Base::parse(&format!("{scheme}://{host}"))?;
        // The client names a host, not a path below it.
        if origin.has_path() || host.ends_with('/') {
            return Err(BaseError::Host);
        }
        let base = origin.join(&self.prefix)?;
        let rewrite = Rewrite::new(self.server.clone(), base.clone()).sealing(Arc::clone(&self.pages));
        let told = |name, value: &str| {
            let value = HeaderValue::from_str(value).map_err(|_| BaseError::Host)?;
            Ok((HeaderName::from_static(name), value))
        };
        Ok(Face {
            forwarded: [
                told("x-forwarded-proto", base.scheme().as_str())?,
                told("x-forwarded-host", base.authority())?,
                told("x-forwarded-prefix", base.path())?,
            ],
            to_client: Arc::new(rewrite),
            to_server: Arc::new(Relative::new(base.clone())),
            base,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Open;

    impl SealPages for Open {
        fn seal(&self, query: &str) -> String {
            query.to_owned()
        }

        fn open(&self, token: &str) -> Result<String, fireguard_fhir::interaction::Refusal> {
            Ok(token.to_owned())
        }
    }

    #[test]
    fn hosts_are_told_apart() {
        let server = vec![Base::parse("http://hapi:8080/fhir").unwrap()];
        let faces = Faces::new(server, "/r4".to_owned(), Arc::new(Open));
        for (scheme, host, base) in [
            ("http", "a.example", Some("http://a.example/r4")),
            ("https", "a.example", Some("https://a.example/r4")),
            ("https", "A.example:443", Some("https://a.example/r4")),
            ("http", "a.example/x", None),
            ("http", "a.example/", None),
            ("http", "", None),
        ] {
            for _ in 0..2 {
                let face = faces.toward(scheme, host).ok();
                assert_eq!(face.map(|face| face.base.to_string()).as_deref(), base, "{host}");
            }
        }
        let again = || faces.toward("http", "a.example").unwrap();
        assert!(Arc::ptr_eq(&again(), &again()));
    }
}
