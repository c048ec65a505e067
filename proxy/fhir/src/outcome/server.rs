//! What the server says in its OperationOutcomes, made fit for callers.
//!
//! HAPI's words help where they speak of the request. They also quote SQL, classes, addresses and what conditions
//! search for. So texts of known codes pass, and what is not known to be harmless is replaced by a sentence of ours
//! that keeps HAPI's code: it leads to the same line in HAPI's log.

use crate::document::Syntax;
use crate::urls::Rewrite;

/// A text is held up to this many bytes as written; a longer one is replaced.
const MAX_WORDS: usize = 64 * 1024;

/// One text of an outcome, collected in pieces.
#[derive(Default)]
pub(crate) struct ServerText {
    /// How it is written.
    pub(crate) syntax: Syntax,
    /// The answer as a whole is a failure: what has no code may be anything.
    pub(crate) failure: bool,
    raw: Vec<u8>,
    too_long: bool,
}

impl ServerText {
    /// Takes the next piece as written.
    pub(crate) fn hold(&mut self, raw: &[u8]) {
        self.too_long |= self.raw.len() + raw.len() > MAX_WORDS;
        if !self.too_long {
            self.raw.extend_from_slice(raw);
        }
    }

    /// Writes what takes its place, and begins anew.
    pub(crate) fn write(&mut self, rewrite: &Rewrite, out: &mut Vec<u8>) {
        let text = self.syntax.unescape(&self.raw).filter(|_| !self.too_long);
        match text.as_deref().map(|text| fit(text, self.failure, rewrite)) {
            Some(None) => out.extend_from_slice(&self.raw),
            Some(Some(other)) => self.syntax.write_escaped(out, &other),
            None => out.extend_from_slice(REFUSED.as_bytes()),
        }
        self.raw.clear();
        self.too_long = false;
    }
}

/// What is said of anything that has no sentence of its own.
const REFUSED: &str = "the FHIR server refused the request or failed; its own words are not shown";

/// HAPI's codes whose texts speak of the request itself: its syntax, the ids and parameters it names, and what the
/// server knows of them.
const HARMLESS: &[u16] = &[
    302, 308, 417, 419, 420, 449, 450, 505, 507, 513, 524, 527, 529, 535, 541, 550, 574, 931, 960, 974, 979,
    989, 1094, 1194, 1250, 1272, 1738, 1814, 1821, 1834, 1857, 1859, 1861, 1940, 2001, 2015, 2018, 2039,
    2788, 2841,
];

/// HAPI's codes whose texts quote conditions or what is stored, and what is said instead.
const INSTEAD: &[(u16, &str)] = &[
    (389, "the FHIR server failed"),
    (823, "another request changed the resource at the same time"),
    (825, "another request created a resource of this id at the same time"),
    (824, "there is a resource already that must not be there twice"),
    (929, "the resource does not satisfy the condition of its create"),
    (958, "the condition matches several resources"),
    (962, "the condition matches several resources"),
    (973, "the condition matches no resource"),
    (988, "the condition matches several resources"),
    (1091, "a condition matches no resource"),
    (1092, "a condition matches several resources"),
    (2008, "the transaction has several entries of the same condition"),
    (2207, "a condition matches several resources"),
    (2745, "another request of the same condition ran at the same time"),
];

/// The beginnings of texts without a code that quote what is stored, and what is said instead.
const INSTEAD_OF_TEXT: &[(&str, &str)] =
    &[("Unable to delete ", "it cannot be deleted: other resources refer to it")];

/// The beginnings of texts without a code that are known to be harmless, also as a failure.
const HARMLESS_TEXT: &[&str] =
    &["Resource was deleted at ", "Invalid request: The FHIR endpoint on this server "];

/// The table in which HAPI keeps conditions while it works on them.
const CONDITIONS: &str = "HFJ_RES_SEARCH_URL";

/// What no text of a harmless kind has, in lower case: databases, classes, stack traces.
const TELLTALES: &[&str] = &[
    "hfj_",
    "sql",
    "jdbc",
    "hikari",
    "hibernate",
    "duplicate key",
    "unique constraint",
    "unique index",
    "insert into ",
    "delete from ",
    "could not execute",
    "\tat ",
    "\n at org.",
    "\n at java",
    "\n at ca.",
    "exception",
    "ca.uhn.",
    "com.github.",
    "org.springframework",
    "java.",
];

/// The text that takes the place of this one, if it may not stay.
fn fit(text: &str, failure: bool, rewrite: &Rewrite) -> Option<String> {
    let codes = codes(text);
    if let (Some(code), true) = (codes.last(), text.contains(CONDITIONS)) {
        return Some(format!("HAPI-{code:04}: another request of the same condition ran at the same time"));
    }
    let instead = codes.iter().find_map(|code| INSTEAD.iter().find(|(known, _)| known == code));
    if let Some((code, sentence)) = instead {
        return Some(format!("HAPI-{code:04}: {sentence}"));
    }
    if let Some((_, sentence)) = INSTEAD_OF_TEXT.iter().find(|(start, _)| text.starts_with(start)) {
        return Some((*sentence).to_owned());
    }
    let moved = moved(text, rewrite);
    let shown = moved.as_deref().unwrap_or(text);
    let lower = shown.to_ascii_lowercase();
    let names_server = rewrite.from().iter().any(|base| {
        // A name without port or dots may be any word.
        let authority = base.authority();
        authority.contains([':', '.']) && lower.contains(authority)
    });
    let known = if failure && codes.is_empty() {
        HARMLESS_TEXT.iter().any(|start| text.starts_with(start))
    } else {
        // PostgreSQL's own words.
        codes.iter().all(|code| HARMLESS.contains(code)) && !text.contains("ERROR: ")
    };
    if known && !names_server && !TELLTALES.iter().any(|telltale| lower.contains(telltale)) {
        return moved;
    }
    Some(match codes.last() {
        Some(code) => format!("HAPI-{code:04}: {REFUSED}"),
        None => REFUSED.to_owned(),
    })
}

/// Every `HAPI-0000` of a text, the outermost first.
fn codes(text: &str) -> Vec<u16> {
    let code = |(at, mark): (usize, &str)| text.get(at + mark.len()..at + mark.len() + 4)?.parse().ok();
    text.match_indices("HAPI-").filter_map(code).collect()
}

/// The text with the server's URLs as callers know them.
fn moved(text: &str, rewrite: &Rewrite) -> Option<String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let scheme = rest[..at].rfind(|c: char| !c.is_ascii_alphabetic()).map_or(0, |before| before + 1);
        // What is no character of a scheme may be longer than one byte.
        let scheme = (scheme..=at).find(|at| rest.is_char_boundary(*at)).unwrap_or(at);
        let ends = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '<' | '>' | ')' | ']' | ',' | ';');
        let end = rest[at..].find(ends).map_or(rest.len(), |end| at + end);
        out.push_str(&rest[..scheme]);
        let url = &rest[scheme..end];
        match rewrite.url(url) {
            Some(other) => out.push_str(&other),
            None => out.push_str(url),
        }
        rest = &rest[end..];
    }
    out.push_str(rest);
    (out != text).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Base;
    use crate::json::{unescape, write_escaped};

    fn shown(text: &str) -> String {
        shown_of(text, false)
    }

    fn shown_of(text: &str, failure: bool) -> String {
        let from = vec![Base::parse("http://hapi:8080/fhir").unwrap()];
        let rewrite = Rewrite::new(from, Base::parse("https://public.example/r4").unwrap());
        let mut raw = Vec::new();
        write_escaped(&mut raw, text);
        let mut words = ServerText { failure, ..ServerText::default() };
        raw.chunks(7).for_each(|piece| words.hold(piece));
        let mut out = Vec::new();
        words.write(&rewrite, &mut out);
        unescape(&out).unwrap().into_owned()
    }

    /// Texts of HAPI 8.8, collected from one.
    #[test]
    fn what_speaks_of_the_request_stays() {
        for text in [
            "HAPI-0450: Failed to parse request body as JSON resource. Error was: HAPI-1861: Failed to parse JSON \
             encoded FHIR content: Unexpected end-of-input: expected close marker for Object (start marker at \
             [line: 1, column: 1])\n at [line: 1, column: 2]",
            "HAPI-0450: Failed to parse request body as JSON resource. Error was: HAPI-1821: [element=\"gender\"] \
             Invalid attribute value \"zzz\": Unknown AdministrativeGender code 'zzz'",
            "HAPI-0450: Failed to parse request body as JSON resource. Error was: HAPI-1861: Failed to parse JSON \
             encoded FHIR content: HAPI-1857: Did not find any content to parse",
            "HAPI-0450: Failed to parse request body as JSON resource. Error was: HAPI-1814: Incorrect resource type \
             found, expected \"Patient\" but found \"Observation\"",
            "HAPI-2001: Resource Patient/nope is not known",
            "HAPI-0420: Can not update resource, resource body must contain an ID element which matches the request \
             URL for update (PUT) operation - Resource body ID of \"a2\" does not match URL ID of \"a1\"",
            "HAPI-0960: Can not create resource with ID[12345], no resource with this ID exists and clients may only \
             assign IDs which contain at least one non-numeric character",
            "HAPI-0524: Unknown search parameter \"foo\" for resource type \"Patient\". Valid search parameters for \
             this search are: [_id, active]",
            "HAPI-1940: Invalid date/time/quantity format: \"zzz\"",
            "HAPI-1094: Resource Patient/nope not found, specified in path: Observation.subject",
            "HAPI-0507: Resource contains external reference to URL \"https://elsewhere.example/fhir/Patient/nope\" \
             but this server is not configured to allow external references",
            "HAPI-0550: HAPI-0989: Trying to update Patient/e1/_history/1 but this is not the current version",
            "HAPI-1272: no such path in target JSON document",
            "HAPI-0535: Transaction bundle contains multiple resources with ID: Patient/e1",
            "HAPI-0417: Search ID \"0195cbbc-1111-7222-8333-444444444442\" does not exist and may have expired",
            "HAPI-0931: Invalid reference found at path 'Observation.subject'. Resource type 'Foo' is not valid for \
             this path",
            "Resource was deleted at 2026-11-21T16:18:49.068+00:00",
            "Not deleted, resource Patient/none does not exist.",
            "Successfully deleted 1 resource(s). Took 12ms.",
            "Constraint failed: dom-6: 'A resource should have narrative for robust management' (defined in \
             http://hl7.org/fhir/StructureDefinition/DomainResource) (Best Practice Recommendation)",
            "Invalid request: The FHIR endpoint on this server does not know how to handle GET \
             operation[Patient/e1/$nope] with parameters [[]]",
        ] {
            assert_eq!(shown(text), text);
        }
    }

    #[test]
    fn what_quotes_anything_else_is_said_in_words_of_ours() {
        for (text, expected) in [
            (
                "HAPI-1091: Invalid match URL \"Patient?identifier=urn:c|secret\" - No resources match this search",
                "HAPI-1091: a condition matches no resource",
            ),
            (
                "HAPI-1092: Invalid match URL \"Patient?identifier=urn:c|secret\" - Multiple resources match",
                "HAPI-1092: a condition matches several resources",
            ),
            (
                "HAPI-0958: Failed to CREATE Patient with match URL \"identifier=urn:c|secret\" because this search \
                 matched 2 resources",
                "HAPI-0958: the condition matches several resources",
            ),
            (
                "HAPI-2008: Unable to process Transaction - Request contains multiple anonymous entries \
                 (Bundle.entry.fullUrl not populated) with conditional URL: \"Patient?identifier=urn:c|secret\".",
                "HAPI-2008: the transaction has several entries of the same condition",
            ),
            (
                "HAPI-0550: HAPI-2745: The operation has failed with a conditional constraint failure. \
                 [insert into HFJ_RES_SEARCH_URL (RES_SEARCH_URL) values ('Patient?identifier=urn:c|secret')]",
                "HAPI-2745: another request of the same condition ran at the same time",
            ),
            (
                "HAPI-0550: HAPI-0825: The operation has failed with a client-assigned ID constraint failure.",
                "HAPI-0825: another request created a resource of this id at the same time",
            ),
            (
                "HAPI-0389: Failed to call access method: org.springframework.transaction.\
                 CannotCreateTransactionException: Could not open JPA EntityManager for transaction",
                "HAPI-0389: the FHIR server failed",
            ),
            (
                "HikariPool-1 - Connection is not available, request timed out after 1002ms (total=5, active=5)",
                REFUSED,
            ),
            (
                "HAPI-1272: Could not resolve type id 'zz' as a subtype of \
                 `com.github.fge.jsonpatch.operation.JsonPatchOperation`",
                "HAPI-1272: the FHIR server refused the request or failed; its own words are not shown",
            ),
            (
                "HAPI-9999: what nobody has seen yet: secret",
                "HAPI-9999: the FHIR server refused the request or failed; its own words are not shown",
            ),
            (
                "Unable to delete Patient/e1 because at least one resource has a reference to this resource. First \
                 reference found was resource Observation/1005 in path Observation.subject",
                "it cannot be deleted: other resources refer to it",
            ),
            ("cannot connect to hapi:8080", REFUSED),
            ("cannot connect to HTTP://Hapi:8080/admin", REFUSED),
        ] {
            assert_eq!(shown(text), expected);
        }
        assert_eq!(shown(&"x".repeat(MAX_WORDS + 1)), REFUSED);
        assert_eq!(shown(&"x".repeat(MAX_WORDS)), "x".repeat(MAX_WORDS));
    }

    /// Of HAPI on PostgreSQL; abridged.
    #[test]
    fn nothing_of_a_database_is_shown() {
        for (text, expected) in [
            (
                "HAPI-0550: could not execute batch [Batch entry 0 insert into HFJ_RES_SEARCH_URL (CREATED_TIME,RES_ID,\
                 RES_SEARCH_URL) values (('2026-11-21 17:00:45.685+00'),('1001'::int8),('Patient?identifier=urn%3Ad%7C\
                 secret')) was aborted: ERROR: duplicate key value violates unique constraint \"hfj_res_search_url_\
                 pkey\"\n  Detail: Key (res_search_url, partition_id)=(Patient?identifier=urn%3Ad%7Csecret, -1) already \
                 exists.]",
                "HAPI-0550: another request of the same condition ran at the same time",
            ),
            (
                "HAPI-0550: could not execute batch [Batch entry 0 insert into HFJ_SPIDX_STRING (SP_VALUE_EXACT) values \
                 (('secret\0')) was aborted: ERROR: invalid byte sequence for encoding \"UTF8\": 0x00",
                "HAPI-0550: the FHIR server refused the request or failed; its own words are not shown",
            ),
            (
                "ERROR: invalid byte sequence for encoding \"UTF8\": 0x00\n  Where: portal \"C_94\" parameter $2",
                REFUSED,
            ),
        ] {
            assert_eq!(shown(text), expected);
        }
    }

    #[test]
    fn a_failure_without_a_code_says_what_is_known_or_nothing() {
        for (text, stays) in [
            ("Resource was deleted at 2026-11-21T16:18:49.068+00:00", true),
            ("HAPI-2001: Resource Patient/nope is not known", true),
            ("Patient Chalmers has no room", false),
        ] {
            assert_eq!(shown_of(text, true) == text, stays, "{text}");
            assert_eq!(shown(text), text);
        }
    }

    #[test]
    fn the_server_s_base_is_the_caller_s() {
        for (text, expected) in [
            (
                "HAPI-2001: Resource http://hapi:8080/fhir/Patient/1 is not known",
                "HAPI-2001: Resource https://public.example/r4/Patient/1 is not known",
            ),
            (
                "See <http://hapi:8080/fhir/Patient/1>, \u{20ac}http://hapi:8080/fhir and http://x/y",
                "See <https://public.example/r4/Patient/1>, \u{20ac}https://public.example/r4 and http://x/y",
            ),
        ] {
            assert_eq!(shown(text), expected);
        }
    }
}
