//! A HAPI with the data of three patients, and a Fireguard before it that asks for tokens.

use fireguard_test_support::gateway::Gateway;
use fireguard_test_support::hapi::Hapi;
use fireguard_test_support::issuer::{Issuer, Key, now, sign};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::attack::{Forgery, Token};
use crate::data::{self, A, B, C, NOBODY, Who};
use crate::forms::{Call, Side};

pub(crate) struct World {
    hapi: &'static Hapi,
    gateway: Gateway,
    issuer: Issuer,
}

impl World {
    pub(crate) async fn start() -> Self {
        let hapi = Hapi::shared().await.expect("a HAPI");
        let issuer = Issuer::start().await.unwrap();
        let config = format!(
            r#"
[server]
listen = "127.0.0.1:0"
workers = 1

[admin]
listen = "127.0.0.1:0"

{}
[upstreams.hapi]
url = "{}"

[routes.fhir]
path = "/fhir"
upstream = "hapi"
authentication = ["id"]
xml = true
compression = true
operations = [
    "$everything", "$document", "$meta", "$meta-add", "$meta-delete", "$export", "$graphql", "$lastn", "$validate",
    "$match", "$diff",
]
"#,
            issuer.configuration("id"),
            hapi.base_url()
        );
        let gateway = tokio::task::spawn_blocking(move || Gateway::start(&config)).await.unwrap();
        let world = Self { hapi, gateway: gateway.expect("a Fireguard"), issuer };
        // One HAPI for all tests, and its data once.
        static STORED: OnceCell<()> = OnceCell::const_new();
        STORED.get_or_init(async || world.store().await).await;
        world
    }

    /// Straight to HAPI.
    pub(crate) fn direct(&self) -> Side {
        Side::new(self.hapi.base_url(), None)
    }

    /// Through Fireguard with a token.
    pub(crate) fn through(&self, token: &Token) -> Side {
        Side::new(&format!("{}/fhir", self.gateway.url()), Some(self.token(token)))
    }

    fn token(&self, token: &Token) -> String {
        match token {
            Token::Usual => self.issuer.token(usual()),
            Token::Claims(more) => {
                let mut claims = usual();
                claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
                self.issuer.token(claims)
            }
            Token::Forged(forgery) => self.forged(*forgery),
        }
    }

    fn forged(&self, forgery: Forgery) -> String {
        let claims = self.issuer.claims(usual());
        let header = |alg: &str, kid: &str| json!({"alg": alg, "kid": kid, "typ": "at+jwt"});
        match forgery {
            Forgery::None => String::new(),
            Forgery::Rubbish => "eyJhbGciOiJub25lIn0.e30.".to_owned(),
            Forgery::Unsigned => sign(&header("none", "first"), &claims, |_| Vec::new()),
            // A public key as the secret of an HMAC.
            Forgery::KeyConfusion => {
                sign(&header("HS256", "first"), &claims, |message| Key::es256("first").confused(message))
            }
            Forgery::OtherKey => {
                let other = Key::es256("first");
                sign(&header("ES256", "first"), &claims, |message| other.sign(message))
            }
            Forgery::UnknownKey => {
                let other = Key::es256("unknown");
                sign(&header("ES256", "unknown"), &claims, |message| other.sign(message))
            }
        }
    }

    async fn store(&self) {
        self.put(data::shared()).await;
        for who in [A, B, C] {
            self.restore(who).await;
        }
        // Somebody else's, by ids that begin with A's.
        let mut near = data::of(B);
        near.truncate(1);
        near[0]["id"] = json!("zqa-patient2");
        self.put(near).await;
        for who in [B, C] {
            self.put(data::ties(who)).await;
            let Who { x, .. } = who;
            let observation = |id: String, of: Who| {
                let mut observation = data::of(of)[3].clone();
                observation["id"] = json!(id);
                // HAPI keeps the tags of former versions.
                observation.as_object_mut().unwrap().remove("meta");
                observation
            };
            // Gone; once somebody's and now A's; once A's and now somebody's.
            self.put(vec![observation(format!("{x}-gone"), who)]).await;
            self.ok(Call::new("DELETE", &format!("Observation/{x}-gone"))).await;
            self.put(vec![observation(format!("zqa-moved-{x}"), who)]).await;
            self.put(vec![observation(format!("zqa-moved-{x}"), A)]).await;
            self.put(vec![observation(format!("{x}-taken"), A)]).await;
            self.put(vec![observation(format!("{x}-taken"), who)]).await;
        }
    }

    /// Puts back what is somebody's.
    pub(crate) async fn restore(&self, who: Who) {
        self.put(data::of(who)).await;
    }

    /// Takes away what an attack on nobody has made.
    pub(crate) async fn sweep(&self) {
        for resource in data::of(NOBODY).iter().rev() {
            self.direct().send(&Call::new("DELETE", &path(resource))).await;
        }
    }

    async fn put(&self, resources: Vec<Value>) {
        let entry = |resource: Value| {
            let url = path(&resource);
            json!({"resource": resource, "request": {"method": "PUT", "url": url}})
        };
        let entries: Vec<_> = resources.into_iter().map(entry).collect();
        let bundle = json!({"resourceType": "Bundle", "type": "transaction", "entry": entries});
        self.ok(Call::new("POST", "").body("application/fhir+json", &bundle.to_string())).await;
    }

    async fn ok(&self, call: Call) {
        let seen = self.direct().send(&call).await;
        assert!(seen.status < 300, "{} {}", seen.status, seen.text);
    }

    /// The versions of all that is B's, and how much refers to B: a write that went through changes it.
    pub(crate) async fn standing(&self) -> String {
        let mut entries: Vec<_> = data::of(B).iter().map(path).collect();
        entries
            .extend(["Observation/zqb-focus", "Observation/zqb-taken", "List/zqb-mixed"].map(str::to_owned));
        let types =
            ["Observation", "Condition", "Encounter", "DocumentReference", "List", "MedicationRequest"];
        entries.extend(types.map(|name| format!("{name}?patient=Patient/zqb-patient&_summary=count")));
        entries.push("Patient?_tag=urn:zq|tag-zqb&_summary=count".to_owned());
        let entry = |url: &String| json!({"request": {"method": "GET", "url": url}});
        let bundle = json!({"resourceType": "Bundle", "type": "batch",
            "entry": entries.iter().map(entry).collect::<Vec<_>>()});
        let call = Call::new("POST", "").body("application/fhir+json", &bundle.to_string());
        let seen = self.direct().send(&call.header("Cache-Control", "no-cache")).await;
        let body: Value = serde_json::from_str(seen.text.split_once("\n\n").unwrap().1).unwrap();
        let told = |(url, entry): (&String, &Value)| {
            let resource = &entry["resource"];
            format!(
                "{url}: {} {} {}\n",
                entry["response"]["status"], resource["meta"]["versionId"], resource["total"]
            )
        };
        entries.iter().zip(body["entry"].as_array().unwrap()).map(told).collect()
    }
}

/// Patient A's: everything that is theirs.
fn usual() -> Value {
    json!({"sub": "alpha", "patient": "zqa-patient", "scope": "launch/patient patient/*.cruds",
        "nbf": now() - 5})
}

fn path(resource: &Value) -> String {
    format!("{}/{}", resource["resourceType"].as_str().unwrap(), resource["id"].as_str().unwrap())
}
