//! The realm `clinic`: who is in it, and what its administrator does to it.

use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::{Error, refused, text};
use crate::issuer::AUDIENCE;
use crate::repository;

/// The administrator of the whole Keycloak.
pub(super) const ADMIN: &str = "admin";
/// The id of the patient that the user `ann` is.
pub const ANN: &str = "ann";

/// A realm with the users `ann` (a patient) and `nora` (a nurse), and the clients `app`, `brief` (whose tokens are good
/// for a second), `elsewhere` (whose tokens are for nobody), `backend` and `fireguard` (which asks about tokens). All
/// users have one password, all clients that have a secret have one secret.
#[derive(Debug, Default)]
pub struct Realm {
    base: String,
    admin: String,
    password: String,
    secret: String,
}

/// What a client gets.
#[derive(Debug, Clone)]
pub struct Tokens {
    /// The access token.
    pub access: String,
    /// The refresh token; empty: none was given.
    pub refresh: String,
    /// The ID token; empty: none was asked for.
    pub id: String,
}

impl Realm {
    pub(super) fn make(base: &str, admin: &str) -> Result<Self, Error> {
        let realm =
            Self { base: base.to_owned(), admin: admin.to_owned(), password: secret(), secret: secret() };
        let file = repository::root().join("tests/support/keycloak/realm.json");
        let template =
            std::fs::read_to_string(file).map_err(|error| Error::Io("reading realm.json", error))?;
        let filled = [
            ("{audience}", AUDIENCE),
            ("{password}", &realm.password),
            ("{secret}", &realm.secret),
            ("{ann}", ANN),
        ];
        let text = filled.iter().fold(template, |text, (name, value)| text.replace(name, value));
        realm.administrate("POST", "/admin/realms", Some(&text))?;
        Ok(realm)
    }

    /// What its tokens say in `iss`.
    pub fn url(&self) -> String {
        format!("{}/realms/clinic", self.base)
    }

    /// The password of every user.
    pub fn password(&self) -> &str {
        &self.password
    }

    /// The secret of every client that has one.
    pub fn secret(&self) -> &str {
        &self.secret
    }

    /// Tokens of a user, for a client without a secret.
    ///
    /// # Errors
    /// There are none.
    pub fn login(&self, client: &str, user: &str, scope: &str) -> Result<Tokens, Error> {
        let (password, grant) = (self.password.as_str(), "password");
        self.tokens(&[
            ("grant_type", grant),
            ("client_id", client),
            ("username", user),
            ("password", password),
            ("scope", scope),
        ])
    }

    /// A token of a client for itself.
    ///
    /// # Errors
    /// There is none.
    pub fn client(&self, client: &str, scope: &str) -> Result<Tokens, Error> {
        self.tokens(&[
            ("grant_type", "client_credentials"),
            ("client_id", client),
            ("client_secret", &self.secret),
            ("scope", scope),
        ])
    }

    /// Newer tokens for these.
    ///
    /// # Errors
    /// There are none.
    pub fn refresh(&self, client: &str, tokens: &Tokens) -> Result<Tokens, Error> {
        self.tokens(&[
            ("grant_type", "refresh_token"),
            ("client_id", client),
            ("refresh_token", &tokens.refresh),
        ])
    }

    /// Revokes an access token (RFC 7009).
    ///
    /// # Errors
    /// It cannot be.
    pub fn revoke(&self, client: &str, tokens: &Tokens) -> Result<(), Error> {
        let url = format!("{}/protocol/openid-connect/revoke", self.url());
        let form = [("client_id", client), ("token", tokens.access.as_str())];
        ureq::post(url).send_form(form).map(drop).map_err(refused("revoking a token"))
    }

    /// Signs with a new key from now on, and publishes the former one no more.
    ///
    /// # Errors
    /// It does not.
    pub fn rotate(&self) -> Result<(), Error> {
        let of = "/admin/realms/clinic/components?type=org.keycloak.keys.KeyProvider";
        let before: Value = serde_json::from_str(&self.administrate("GET", of, None)?)
            .map_err(|error| Error::Refused(error.to_string()))?;
        let new = json!({
            "name": "a newer one",
            "providerId": "rsa-generated",
            "providerType": "org.keycloak.keys.KeyProvider",
            "config": { "priority": ["1000"], "keySize": ["2048"], "algorithm": ["RS256"] },
        });
        self.administrate("POST", "/admin/realms/clinic/components", Some(&new.to_string()))?;
        let signing = |key: &&Value| text(key, "providerId") == "rsa-generated";
        for key in before.as_array().into_iter().flatten().filter(signing) {
            let one = format!("/admin/realms/clinic/components/{}", text(key, "id"));
            self.administrate("DELETE", &one, None)?;
        }
        Ok(())
    }

    /// Makes another realm of this file, as an import at the start does; what its tokens say in `iss`.
    ///
    /// # Errors
    /// There is one of this name, or the file is none of a realm.
    pub fn import(&self, name: &str, text: &str) -> Result<String, Error> {
        self.administrate("POST", "/admin/realms", Some(text))?;
        Ok(format!("{}/realms/{name}", self.base))
    }

    /// A new client: an app in browsers, whose pages are at these origins and come back from the login to `app.html`.
    ///
    /// # Errors
    /// There is one of this name.
    pub fn register(&self, client: &str, origins: &[String]) -> Result<(), Error> {
        let pages: Vec<_> = origins.iter().map(|origin| format!("{origin}/app.html")).collect();
        let app = json!({
            "clientId": client,
            "publicClient": true,
            "redirectUris": pages,
            "webOrigins": origins,
            "attributes": { "pkce.code.challenge.method": "S256" },
            "defaultClientScopes": ["fhir"],
            "optionalClientScopes": ["launch/patient", "fhirUser", "patient/*.rs"],
        });
        self.administrate("POST", "/admin/realms/clinic/clients", Some(&app.to_string())).map(drop)
    }

    fn tokens(&self, form: &[(&str, &str)]) -> Result<Tokens, Error> {
        let answer = token(&self.url(), form)?;
        let one = |name| text(&answer, name).to_owned();
        Ok(Tokens { access: one("access_token"), refresh: one("refresh_token"), id: one("id_token") })
    }

    fn administrate(&self, method: &str, path: &str, body: Option<&str>) -> Result<String, Error> {
        let login = [
            ("grant_type", "password"),
            ("client_id", "admin-cli"),
            ("username", ADMIN),
            ("password", &self.admin),
        ];
        let answer = token(&format!("{}/realms/master", self.base), &login)?;
        let authorization = format!("Bearer {}", text(&answer, "access_token"));
        let url = format!("{}{path}", self.base);
        let sent = match (method, body) {
            ("POST", Some(body)) => ureq::post(url)
                .header("Authorization", authorization)
                .header("Content-Type", "application/json")
                .send(body),
            ("DELETE", _) => ureq::delete(url).header("Authorization", authorization).call(),
            _ => ureq::get(url).header("Authorization", authorization).call(),
        };
        let mut answer = sent.map_err(refused("administration"))?;
        answer.body_mut().read_to_string().map_err(refused("administration"))
    }
}

/// Letters that nobody guesses.
pub(super) fn secret() -> String {
    let mut bytes = [0; 18];
    // What fails leaves a secret that is known: of a server that only this process reaches.
    let _ = rand::fill(&mut bytes);
    URL_SAFE_NO_PAD.encode(bytes)
}

fn token(issuer: &str, form: &[(&str, &str)]) -> Result<Value, Error> {
    let url = format!("{issuer}/protocol/openid-connect/token");
    let mut answer =
        ureq::post(url).send_form(form.iter().copied()).map_err(refused("asking for a token"))?;
    let text = answer.body_mut().read_to_string().map_err(refused("asking for a token"))?;
    serde_json::from_str(&text).map_err(|error| Error::Refused(error.to_string()))
}
