//! Client certificates, as they are configured: whom their names stand for, and who is believed to sign them.

use std::collections::{BTreeMap, BTreeSet};

use fireguard_access::authentication::certificate::{Client, Clients, Pattern};
use schemars::JsonSchema;
use serde::Deserialize;
use toml::Spanned;

use super::Problem;
use super::file::Tls;
use super::resolve::Resolver;

/// Whom certificates of a name stand for.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CertificateClient {
    /// The client's name, for policies.
    pub client: Option<String>,
    /// Its roles.
    #[serde(default)]
    pub roles: BTreeSet<String>,
    /// The organisation it belongs to.
    pub tenant: Option<String>,
    /// What it is granted, in SMART's words: `system/Observation.rs`. Without it policies alone decide.
    pub scopes: Option<String>,
}

/// Whether clients show certificates.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ClientAuth {
    /// Those that have one.
    #[default]
    Optional,
    /// All of them: nobody else is served.
    Required,
}

/// What is believed of client certificates, not yet parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCa {
    /// PEM bytes of the authorities.
    pub authorities: Vec<u8>,
    /// PEM bytes of their lists of revoked certificates; none: whatever they signed is good.
    pub crls: Vec<Vec<u8>>,
    /// Clients must show one.
    pub required: bool,
}

impl Resolver<'_> {
    /// Whom certificates stand for.
    pub(super) fn certificates(&mut self, written: &BTreeMap<String, Spanned<CertificateClient>>) -> Clients {
        let mut clients = Vec::new();
        for (name, entry) in written {
            let CertificateClient { client, roles, tenant, scopes } = entry.get_ref();
            let (client, roles) = (client.as_deref().map(Into::into), roles.clone());
            let made = Client { client, roles, tenant: tenant.clone(), scopes: None };
            let made = made.with_scopes(scopes.as_deref());
            let pattern = name.parse::<Pattern>().map_err(|error| error.to_string());
            match pattern.and_then(|pattern| Ok((pattern, made?))) {
                Ok(found) => clients.push(found),
                Err(message) => {
                    self.problems
                        .push(Problem::at(entry.span(), format!("certificates.{name:?}: {message}")));
                }
            }
        }
        Clients::new(clients)
    }

    /// Who is believed to sign clients' certificates; none: nobody is asked for one.
    pub(super) fn client_ca(&mut self, tls: &Tls) -> Option<ClientCa> {
        let Some(ca) = &tls.client_ca else {
            if let Some(without) = &tls.client_auth {
                let message = "client_auth needs client_ca: the authorities that sign clients' certificates";
                self.problems.push(Problem::at(without.span(), message));
            }
            if let Some(without) = tls.client_crls.first() {
                self.problem(without, "client_crls need client_ca: the authorities that revoke");
            }
            return None;
        };
        let authorities = self.read(ca);
        let crls: Vec<_> = tls.client_crls.iter().map(|path| self.read(path)).collect();
        let required = tls.client_auth.as_ref().is_some_and(|auth| *auth.get_ref() == ClientAuth::Required);
        Some(ClientCa { authorities: authorities?, crls: crls.into_iter().collect::<Option<_>>()?, required })
    }
}
