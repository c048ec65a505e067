//! What a policy comes to while nobody knows the resource: a policy that holds wherever the first may hold, and one that
//! holds only where it must.
//!
//! Each part of a condition that looks at the resource is replaced by `true` or by `false`, whichever makes the policy
//! hold more, or less, often. What comes out looks at what is known only, and is decided like any other policy.

use std::sync::Arc;

use cedar_policy::pst::{BinaryOp, Clause, Expr, Literal, ResourceConstraint, Template, UnaryOp, Var};
use cedar_policy::pst::{EntityOrSlot, PrincipalConstraint, PstConstructionError};

/// What is known of a resource, and of who asks for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    /// Its type, and the request.
    Type,
    /// Nothing but the request.
    Nothing,
    /// Its type, who asks, what for and when: not how.
    Caller,
    /// Its type.
    Anybody,
}

impl Known {
    /// All of them, each in its place.
    pub(super) const ALL: [Self; 4] = [Self::Type, Self::Nothing, Self::Caller, Self::Anybody];
}

/// Which side to be on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// Holds if the policy holds for any resource.
    May,
    /// Holds only if the policy holds for every resource.
    Must,
}

/// Whether the policy looks at more of the resource than is known.
pub(super) fn depends(policy: &Template, known: Known) -> bool {
    head(&policy.resource).is_some_and(|head| looks(&head, known))
        || policy.clauses().iter().any(|(Clause::When(expr) | Clause::Unless(expr))| looks(expr, known))
}

/// The policy without what is not known.
pub(super) fn relax(policy: &Template, known: Known, side: Side) -> Result<Template, PstConstructionError> {
    let Template { id, effect, mut principal, action, .. } = policy.clone();
    let mut heads: Vec<_> =
        head(&policy.resource).map(|head| Clause::When(Arc::new(head))).into_iter().collect();
    if known == Known::Anybody && principal != PrincipalConstraint::Any {
        principal = PrincipalConstraint::Any;
        heads.push(Clause::When(Arc::new(Expr::Literal(Literal::Bool(side == Side::May)))));
    }
    let clauses = heads.iter().chain(policy.clauses()).map(|clause| {
        Clause::When(match clause {
            Clause::When(expr) => bound(expr, known, side),
            Clause::Unless(expr) => not(bound(expr, known, side.other())),
        })
    });
    Template::new(id, effect, principal, action, ResourceConstraint::Any)
        .try_with_clauses(clauses.collect::<Vec<_>>())
}

/// The attributes of the resource that the policy looks at. None: it takes the resource as a whole.
pub(super) fn attributes(policy: &Template) -> Option<Vec<String>> {
    let mut found = Vec::new();
    let clauses = policy.clauses().iter().map(|(Clause::When(expr) | Clause::Unless(expr))| Arc::clone(expr));
    let named = matches!(policy.resource, ResourceConstraint::Eq(_));
    let whole = named || !clauses.into_iter().all(|expr| collect(&expr, &mut found));
    (!whole).then_some(found)
}

/// Whether the policy looks at who exactly the caller is, so that it may tell two apart that are alike in all else.
pub(super) fn is_personal(policy: &Template) -> bool {
    let named = matches!(policy.principal, PrincipalConstraint::Eq(_));
    named || policy.clauses().iter().any(|(Clause::When(expr) | Clause::Unless(expr))| personal(expr))
}

/// The attributes of a caller that nobody else has.
const PERSONAL: [&str; 3] = ["subject", "patient", "fhirUser"];

fn personal(expr: &Expr) -> bool {
    let is_principal = |expr: &Expr| matches!(expr, Expr::Var(Var::Principal));
    match expr {
        Expr::GetAttr { expr, attr } if is_principal(expr) => PERSONAL.contains(&attr.to_string().as_str()),
        Expr::HasAttr { expr, .. } if is_principal(expr) => false,
        Expr::BinaryOp { op: BinaryOp::In, left, right } if is_principal(left) => personal(right),
        Expr::Is { expr, in_expr, .. } if is_principal(expr) => {
            in_expr.as_ref().is_some_and(|expr| personal(expr))
        }
        Expr::Var(Var::Principal) => true,
        Expr::Literal(_) | Expr::Var(_) => false,
        Expr::UnaryOp { expr, .. }
        | Expr::GetAttr { expr, .. }
        | Expr::HasAttr { expr, .. }
        | Expr::Like { expr, .. } => personal(expr),
        Expr::BinaryOp { left, right, .. } => personal(left) || personal(right),
        Expr::Is { expr, in_expr, .. } => {
            personal(expr) || in_expr.as_ref().is_some_and(|expr| personal(expr))
        }
        Expr::IfThenElse { cond, then_expr, else_expr } => {
            [cond, then_expr, else_expr].into_iter().any(|expr| personal(expr))
        }
        Expr::Set(items) => items.iter().any(|item| personal(item)),
        Expr::Record(fields) => fields.values().any(|field| personal(field)),
        // What a later version of the language has.
        _ => true,
    }
}

/// The condition that the head of a policy is. None: none.
fn head(constraint: &ResourceConstraint) -> Option<Expr> {
    let literal = |entity: &EntityOrSlot| match entity {
        EntityOrSlot::Entity(uid) => Arc::new(Expr::Literal(Literal::EntityUID(uid.clone()))),
        EntityOrSlot::Slot(slot) => Arc::new(Expr::Slot(*slot)),
    };
    let resource = || Arc::new(Expr::Var(Var::Resource));
    Some(match constraint {
        ResourceConstraint::Any => return None,
        ResourceConstraint::Eq(entity) => binary(BinaryOp::Eq, resource(), literal(entity)),
        ResourceConstraint::In(entity) => binary(BinaryOp::In, resource(), literal(entity)),
        ResourceConstraint::Is(ty) => Expr::Is { expr: resource(), entity_type: ty.clone(), in_expr: None },
        ResourceConstraint::IsIn(ty, entity) => {
            Expr::Is { expr: resource(), entity_type: ty.clone(), in_expr: Some(literal(entity)) }
        }
    })
}

fn bound(expr: &Arc<Expr>, known: Known, side: Side) -> Arc<Expr> {
    if !looks(expr, known) {
        return Arc::clone(expr);
    }
    match &**expr {
        Expr::UnaryOp { op: UnaryOp::Not, expr } => not(bound(expr, known, side.other())),
        Expr::BinaryOp { op: op @ (BinaryOp::And | BinaryOp::Or), left, right } => {
            Arc::new(binary(*op, bound(left, known, side), bound(right, known, side)))
        }
        Expr::IfThenElse { cond, then_expr, else_expr } => {
            let then = binary(BinaryOp::And, bound(cond, known, side), bound(then_expr, known, side));
            let otherwise = not(bound(cond, known, side.other()));
            let otherwise = binary(BinaryOp::And, otherwise, bound(else_expr, known, side));
            Arc::new(binary(BinaryOp::Or, Arc::new(then), Arc::new(otherwise)))
        }
        _ => Arc::new(Expr::Literal(Literal::Bool(side == Side::May))),
    }
}

/// Whether it looks at more of the resource than is known.
fn looks(expr: &Expr, known: Known) -> bool {
    let type_is_enough = known != Known::Nothing;
    match expr {
        Expr::GetAttr { expr, attr } if known == Known::Caller && is_context(expr) => {
            !matches!(attr.to_string().as_str(), "purposes" | "time")
        }
        Expr::Var(Var::Principal) => known == Known::Anybody,
        Expr::Var(Var::Context) => matches!(known, Known::Caller | Known::Anybody),
        Expr::BinaryOp { op: BinaryOp::In, left, right }
            if type_is_enough && is_resource(left) && are_types(right) =>
        {
            false
        }
        Expr::Is { expr, in_expr, .. } if is_resource(expr) => match in_expr {
            // Every resource is a Resource.
            None => false,
            Some(types) => !(type_is_enough && are_types(types)),
        },
        Expr::Var(Var::Resource) => true,
        Expr::Literal(_) | Expr::Var(_) => false,
        Expr::UnaryOp { expr, .. }
        | Expr::GetAttr { expr, .. }
        | Expr::HasAttr { expr, .. }
        | Expr::Like { expr, .. } => looks(expr, known),
        Expr::BinaryOp { left, right, .. } => looks(left, known) || looks(right, known),
        Expr::Is { expr, in_expr, .. } => {
            looks(expr, known) || in_expr.as_ref().is_some_and(|expr| looks(expr, known))
        }
        Expr::IfThenElse { cond, then_expr, else_expr } => {
            [cond, then_expr, else_expr].into_iter().any(|expr| looks(expr, known))
        }
        Expr::Set(items) => items.iter().any(|item| looks(item, known)),
        Expr::Record(fields) => fields.values().any(|field| looks(field, known)),
        // What a later version of the language has.
        _ => true,
    }
}

/// Collects the attributes of the resource. False: it is taken as a whole.
fn collect(expr: &Expr, found: &mut Vec<String>) -> bool {
    match expr {
        Expr::GetAttr { expr, attr } if is_resource(expr) => {
            found.push(attr.to_string());
            true
        }
        Expr::HasAttr { expr, attrs } if is_resource(expr) => {
            found.extend(attrs.iter().map(ToString::to_string));
            true
        }
        Expr::BinaryOp { op: BinaryOp::In, left, right } if is_resource(left) && are_types(right) => true,
        Expr::Is { expr, in_expr, .. } if is_resource(expr) => in_expr.as_ref().is_none_or(|t| are_types(t)),
        Expr::Var(Var::Resource) => false,
        Expr::Literal(_) | Expr::Var(_) => true,
        Expr::UnaryOp { expr, .. }
        | Expr::GetAttr { expr, .. }
        | Expr::HasAttr { expr, .. }
        | Expr::Like { expr, .. } => collect(expr, found),
        Expr::BinaryOp { left, right, .. } => collect(left, found) & collect(right, found),
        Expr::Is { expr, in_expr, .. } => {
            collect(expr, found) & in_expr.as_ref().is_none_or(|expr| collect(expr, found))
        }
        Expr::IfThenElse { cond, then_expr, else_expr } => {
            collect(cond, found) & collect(then_expr, found) & collect(else_expr, found)
        }
        Expr::Set(items) => items.iter().all(|item| collect(item, found)),
        Expr::Record(fields) => fields.values().all(|field| collect(field, found)),
        _ => false,
    }
}

fn is_context(expr: &Expr) -> bool {
    matches!(expr, Expr::Var(Var::Context))
}

fn is_resource(expr: &Expr) -> bool {
    matches!(expr, Expr::Var(Var::Resource))
}

/// Whether it is a type, or a list of them, that stands in the policy.
fn are_types(expr: &Expr) -> bool {
    match expr {
        Expr::Literal(Literal::EntityUID(uid)) => uid.ty.0.id.as_str() == "Type",
        Expr::Set(items) => items.iter().all(|item| are_types(item)),
        _ => false,
    }
}

fn not(expr: Arc<Expr>) -> Arc<Expr> {
    Arc::new(Expr::UnaryOp { op: UnaryOp::Not, expr })
}

fn binary(op: BinaryOp, left: Arc<Expr>, right: Arc<Expr>) -> Expr {
    Expr::BinaryOp { op, left, right }
}

impl Side {
    fn other(self) -> Self {
        match self {
            Self::May => Self::Must,
            Self::Must => Self::May,
        }
    }
}

#[cfg(test)]
mod tests {
    use cedar_policy::{Policy, pst};

    use super::*;

    fn template(text: &str) -> Template {
        let policy = Policy::parse(None, text).unwrap().to_pst().unwrap();
        let pst::Policy::Static(policy) = policy else { panic!("{text}") };
        policy.body().clone()
    }

    #[test]
    fn parts_that_look_at_the_resource_are_replaced() {
        for (condition, may, must) in [
            (
                "when { principal has patient && resource.patients.contains(principal.patient) }",
                "when { principal has patient && true }",
                "when { principal has patient && false }",
            ),
            ("unless { resource.labels.contains(\"s|R\") }", "when { !false }", "when { !true }"),
            (
                "when { !(resource.unnamed || context.parameters.isEmpty()) }",
                "when { !(false || context.parameters.isEmpty()) }",
                "when { !(true || context.parameters.isEmpty()) }",
            ),
            (
                "when { if resource.unnamed then principal has tenant else principal has client }",
                "when { true && principal has tenant || !false && principal has client }",
                "when { false && principal has tenant || !true && principal has client }",
            ),
            (
                "when { resource in Type::\"Patient\" }",
                "when { resource in Type::\"Patient\" }",
                "when { resource in Type::\"Patient\" }",
            ),
        ] {
            let head = "permit(principal, action, resource) ";
            let policy = template(&format!("{head}{condition};"));
            for (side, expected) in [(Side::May, may), (Side::Must, must)] {
                let relaxed = relax(&policy, Known::Type, side).unwrap();
                let expected = template(&format!("{head}{expected};"));
                assert_eq!(relaxed.clauses(), expected.clauses(), "{condition} {side:?}: {relaxed}");
            }
        }
    }

    #[test]
    fn of_a_request_no_more_is_known_than_is_said() {
        let text = "permit(principal in Role::\"r\", action, resource in Type::\"Patient\") when { context.purposes.contains(\"TREAT\") && context has operation && principal has patient };";
        let known = "resource in Type::\"Patient\"";
        for (with, may, must) in [
            (
                Known::Caller,
                "context.purposes.contains(\"TREAT\") && true && principal has patient",
                "context.purposes.contains(\"TREAT\") && false && principal has patient",
            ),
            (Known::Anybody, "true && true && true", "false && false && false"),
        ] {
            for (side, expected) in [(Side::May, may), (Side::Must, must)] {
                let relaxed = relax(&template(text), with, side).unwrap();
                let (role, head) = match with {
                    Known::Anybody => ("principal", format!("when {{ {} }}", side == Side::May)),
                    _ => ("principal in Role::\"r\"", String::new()),
                };
                let expected = format!(
                    "permit({role}, action, resource) when {{ {known} }} {head} when {{ {expected} }};"
                );
                let expected = template(&expected);
                assert_eq!(relaxed.clauses(), expected.clauses(), "{with:?} {side:?}: {relaxed}");
                assert_eq!(relaxed.principal, expected.principal, "{with:?}");
            }
        }
    }

    #[test]
    fn what_looks_at_the_person_is_told_from_what_looks_at_its_kind() {
        for (text, expected) in [
            ("permit(principal, action, resource);", false),
            ("permit(principal in Role::\"a\", action, resource);", false),
            ("permit(principal == Caller::\"a\", action, resource);", true),
            ("permit(principal, action, resource) when { principal has patient };", false),
            ("permit(principal, action, resource) when { principal.client == \"a\" };", false),
            ("permit(principal, action, resource) unless { principal.subject == \"a\" };", true),
            ("permit(principal, action, resource) when { principal == Caller::\"a\" };", true),
            ("permit(principal, action, resource) when { principal in Role::\"a\" };", false),
            // What depends on the resource is not known beforehand.
            (
                "permit(principal, action, resource) when { resource.patients.contains(principal.patient) };",
                false,
            ),
        ] {
            let relaxed = relax(&template(text), Known::Caller, Side::May).unwrap();
            assert_eq!(is_personal(&relaxed), expected, "{text}");
        }
    }

    #[test]
    fn a_head_counts_like_a_condition() {
        for (head, by_type, by_nothing) in [
            ("resource", false, false),
            ("resource is Resource", false, false),
            ("resource in Type::\"Patient\"", false, true),
            ("resource is Resource in Type::\"Patient\"", false, true),
            ("resource == Resource::\"Patient/1\"", true, true),
        ] {
            let policy = template(&format!("permit(principal, action, {head});"));
            assert_eq!(depends(&policy, Known::Type), by_type, "{head}");
            assert_eq!(depends(&policy, Known::Nothing), by_nothing, "{head}");
        }
    }

    #[test]
    fn attributes_are_found_wherever_they_are() {
        for (condition, expected) in [
            ("principal has patient", Some(vec![])),
            (
                "resource.patients.contains(principal.subject) && !resource.unnamed",
                Some(vec!["patients", "unnamed"]),
            ),
            ("resource has tenant && [resource.tenant].contains(\"a\")", Some(vec!["tenant", "tenant"])),
            ("resource in [Type::\"Patient\", Type::\"Group\"]", Some(vec![])),
            ("[resource].contains(resource)", None),
        ] {
            let policy = template(&format!("permit(principal, action, resource) when {{ {condition} }};"));
            let expected = expected.map(|names| names.into_iter().map(str::to_owned).collect());
            assert_eq!(attributes(&policy), expected, "{condition}");
        }
    }
}
