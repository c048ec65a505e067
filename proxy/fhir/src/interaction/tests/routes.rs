//! Every interaction: its code, whether it is safe, its type and id, and how it is written again.

use super::*;

struct Case {
    head: Head<'static>,
    code: &'static str,
    safe: bool,
    ty: Option<ResourceType>,
    id: Option<&'static str>,
    target: (&'static str, &'static str),
}

fn check(cases: impl IntoIterator<Item = Case>) {
    for case in cases {
        let request = parse(&case.head).unwrap_or_else(|refusal| panic!("{:?}: {refusal:?}", case.head));
        let interaction = &request.interaction;
        let found = (interaction.code(), interaction.is_safe(), interaction.resource_type());
        assert_eq!(found, (case.code, case.safe, case.ty), "{:?}", case.head);
        assert_eq!(interaction.id().map(Id::as_str), case.id, "{:?}", case.head);
        let target = request.target();
        assert_eq!((target.method, target.path_and_query.as_str()), case.target, "{:?}", case.head);
    }
}

fn case(
    head: Head<'static>,
    (code, safe): (&'static str, bool),
    ty: Option<ResourceType>,
    id: Option<&'static str>,
    target: (&'static str, &'static str),
) -> Case {
    Case { head, code, safe, ty, id, target }
}

const SAFE: bool = true;
const WRITES: bool = false;
const PATIENT: Option<ResourceType> = Some(ResourceType::Patient);
const OBSERVATION: Option<ResourceType> = Some(ResourceType::Observation);

#[test]
fn reads() {
    check([
        case(head("GET", "/metadata"), ("capabilities", SAFE), None, None, ("GET", "/metadata")),
        case(
            head("GET", "/metadata?mode=terminology"),
            ("capabilities", SAFE),
            None,
            None,
            ("GET", "/metadata?mode=terminology"),
        ),
        case(head("GET", "/Patient/1"), ("read", SAFE), PATIENT, Some("1"), ("GET", "/Patient/1")),
        case(head("HEAD", "/Patient/1"), ("read", SAFE), PATIENT, Some("1"), ("HEAD", "/Patient/1")),
        case(head("GET", "/Patient/1/"), ("read", SAFE), PATIENT, Some("1"), ("GET", "/Patient/1")),
        case(
            head("GET", "/%50atient/%62%2E1?_summary=true"),
            ("read", SAFE),
            PATIENT,
            Some("b.1"),
            ("GET", "/Patient/b.1?_summary=true"),
        ),
        case(
            head("GET", "/Patient/1/_history/2"),
            ("vread", SAFE),
            PATIENT,
            Some("1"),
            ("GET", "/Patient/1/_history/2"),
        ),
        case(
            head("GET", "/Patient/1/_history?_count=5"),
            ("history-instance", SAFE),
            PATIENT,
            Some("1"),
            ("GET", "/Patient/1/_history?_count=5"),
        ),
        case(
            head("GET", "/Patient/_history"),
            ("history-type", SAFE),
            PATIENT,
            None,
            ("GET", "/Patient/_history"),
        ),
        case(
            head("GET", "/_history?_since=2020-01-01T00:00:00Z"),
            ("history-system", SAFE),
            None,
            None,
            ("GET", "/_history?_since=2020-01-01T00:00:00Z"),
        ),
    ]);
}

#[test]
fn searches() {
    check([
        case(head("GET", "/Patient"), ("search-type", SAFE), PATIENT, None, ("GET", "/Patient")),
        case(
            head("GET", "/Patient/?name=a+b&name=c%2Cd&%5Fcount=2&_pretty=true&_format=json"),
            ("search-type", SAFE),
            PATIENT,
            None,
            ("GET", "/Patient?name=a%20b&name=c,d&_count=2&_pretty=true"),
        ),
        case(
            with_type("POST", "/Patient/_search?name=x", FORM),
            ("search-type", SAFE),
            PATIENT,
            None,
            ("POST", "/Patient/_search"),
        ),
        case(head("GET", "?_type=Patient"), ("search-system", SAFE), None, None, ("GET", "/?_type=Patient")),
        case(with_type("POST", "/_search", FORM), ("search-system", SAFE), None, None, ("POST", "/_search")),
        case(
            head("GET", "/Patient/1/Observation?code=x"),
            ("search-type", SAFE),
            OBSERVATION,
            None,
            ("GET", "/Patient/1/Observation?code=x"),
        ),
        case(head("GET", "/Patient/1/*"), ("search-system", SAFE), None, None, ("GET", "/Patient/1/*")),
        case(
            with_type("POST", "/Patient/1/Observation/_search", FORM),
            ("search-type", SAFE),
            OBSERVATION,
            None,
            ("POST", "/Patient/1/Observation/_search"),
        ),
        case(
            head("GET", "/?_getpages=0a-1&_getpagesoffset=20&_count=20&_bundletype=searchset&_pretty=false"),
            ("search", SAFE),
            None,
            None,
            ("GET", "/?_getpages=0a-1&_getpagesoffset=20&_count=20&_bundletype=searchset&_pretty=false"),
        ),
        case(
            head("GET", "?_bundletype=history&_pageId=2&_getpages=x&_include=Patient:link"),
            ("history", SAFE),
            None,
            None,
            ("GET", "/?_getpages=x&_pageId=2&_bundletype=history&_include=Patient:link"),
        ),
    ]);
}

#[test]
fn writes() {
    let conditional =
        |head| Head { if_none_exist: Some("identifier=urn:x|1"), content_type: Some(FHIR_JSON), ..head };
    check([
        case(
            with_type("POST", "/Patient", FHIR_JSON),
            ("create", WRITES),
            PATIENT,
            None,
            ("POST", "/Patient"),
        ),
        case(conditional(head("POST", "/Patient")), ("create", WRITES), PATIENT, None, ("POST", "/Patient")),
        case(
            with_type("PUT", "/Patient/1", FHIR_JSON),
            ("update", WRITES),
            PATIENT,
            Some("1"),
            ("PUT", "/Patient/1"),
        ),
        case(
            with_type("PUT", "/Patient?identifier=urn:x%7C1", FHIR_JSON),
            ("update", WRITES),
            PATIENT,
            None,
            ("PUT", "/Patient?identifier=urn:x%7C1"),
        ),
        case(
            with_type("PATCH", "/Patient/1", "application/json-patch+json"),
            ("patch", WRITES),
            PATIENT,
            Some("1"),
            ("PATCH", "/Patient/1"),
        ),
        case(
            with_type("PATCH", "/Patient?_id=1", FHIR_JSON),
            ("patch", WRITES),
            PATIENT,
            None,
            ("PATCH", "/Patient?_id=1"),
        ),
        case(head("DELETE", "/Patient/1"), ("delete", WRITES), PATIENT, Some("1"), ("DELETE", "/Patient/1")),
        case(
            head("DELETE", "/Patient?name=x"),
            ("delete", WRITES),
            PATIENT,
            None,
            ("DELETE", "/Patient?name=x"),
        ),
        case(with_type("POST", "", FHIR_JSON), ("batch", WRITES), None, None, ("POST", "/")),
        case(
            with_type("POST", "/Bundle", FHIR_JSON),
            ("create", WRITES),
            Some(ResourceType::Bundle),
            None,
            ("POST", "/Bundle"),
        ),
    ]);
}

#[test]
fn operations() {
    check([
        case(
            head("GET", "/Patient/1/$everything?_count=50"),
            ("operation", SAFE),
            PATIENT,
            Some("1"),
            ("GET", "/Patient/1/$everything?_count=50"),
        ),
        case(
            with_type("POST", "/ValueSet/$expand", FHIR_JSON),
            ("operation", SAFE),
            Some(ResourceType::ValueSet),
            None,
            ("POST", "/ValueSet/$expand"),
        ),
        case(
            with_type("POST", "/Patient/$validate", FHIR_JSON),
            ("operation", SAFE),
            PATIENT,
            None,
            ("POST", "/Patient/$validate"),
        ),
        case(
            with_type("POST", "/Patient/1/$meta-add", FHIR_JSON),
            ("operation", WRITES),
            PATIENT,
            Some("1"),
            ("POST", "/Patient/1/$meta-add"),
        ),
        case(
            head("GET", "/Patient/$export?patient=1"),
            ("operation", WRITES),
            PATIENT,
            None,
            ("GET", "/Patient/$export?patient=1"),
        ),
        case(
            head("GET", "/$export?_type=Patient"),
            ("operation", WRITES),
            None,
            None,
            ("GET", "/$export?_type=Patient"),
        ),
        case(
            head("GET", "/$export-poll-status?_jobId=a-b"),
            ("operation", SAFE),
            None,
            None,
            ("GET", "/$export-poll-status?_jobId=a-b"),
        ),
        case(
            head("DELETE", "/$export-poll-status?_jobId=a-b"),
            ("operation", WRITES),
            None,
            None,
            ("DELETE", "/$export-poll-status?_jobId=a-b"),
        ),
        case(
            with_type("POST", "/$graphql", "application/json"),
            ("operation", WRITES),
            None,
            None,
            ("POST", "/$graphql"),
        ),
        // Nothing is known of it: whether it may be called is the route's business.
        case(
            head("GET", "/Patient/$own-operation"),
            ("operation", WRITES),
            PATIENT,
            None,
            ("GET", "/Patient/$own-operation"),
        ),
        case(
            head("GET", "/Composition/1/$document?persist=false"),
            ("operation", SAFE),
            Some(ResourceType::Composition),
            Some("1"),
            ("GET", "/Composition/1/$document?persist=false"),
        ),
    ]);
}

#[test]
fn conditional_forms_are_interactions_of_their_own() {
    let parsed = |head: Head<'_>| parse(&head).unwrap().interaction;
    let ty = ResourceType::Patient;
    let create = Head { if_none_exist: Some("_id=1"), ..with_type("POST", "/Patient", FHIR_JSON) };
    assert_eq!(parsed(create), Interaction::ConditionalCreate { ty });
    assert_eq!(parsed(with_type("PUT", "/Patient?_id=1", FHIR_JSON)), Interaction::ConditionalUpdate { ty });
    assert_eq!(parsed(with_type("PATCH", "/Patient?_id=1", FHIR_JSON)), Interaction::ConditionalPatch { ty });
    assert_eq!(parsed(head("DELETE", "/Patient?_id=1")), Interaction::ConditionalDelete { ty });
}

#[test]
fn a_bundle_is_a_transaction_once_its_body_says_so() {
    let interaction = Interaction::Bundle { kind: Some(BundleKind::Transaction) };
    assert_eq!(interaction.code(), "transaction");
    assert_eq!(Interaction::Bundle { kind: Some(BundleKind::Batch) }.code(), "batch");
}

#[test]
fn url_and_form_are_one_set() {
    let request = parse(&with_type("POST", "/Patient/_search?name=x&_format=json", FORM)).unwrap();
    assert_eq!(request.form().as_deref(), Some("name=x"));
    let request =
        request.with_form(b"gender=male&name=y+z&_format=application/json&_pretty=true", false).unwrap();
    assert_eq!(request.form().as_deref(), Some("name=x&gender=male&name=y%20z&_pretty=true"));
    assert_eq!((request.format, request.pretty), (crate::format::Format::Json, Some(true)));
    assert_eq!(request.target().path_and_query, "/Patient/_search");
    assert_eq!(parse(&head("GET", "/Patient")).unwrap().form(), None);
}
