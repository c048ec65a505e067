//! Policies without the heads that were found to hold. They are chosen by their heads before Cedar is asked, so most of them
//! need not be told in which groups callers, actions and resources are: to work that out takes Cedar longer than all else.

use cedar_policy::pst::{
    ActionConstraint, BinaryOp, Clause, Expr, PrincipalConstraint, ResourceConstraint, Template,
};

/// What of a head is decided when policies are chosen, besides the action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Decided {
    /// Whether the caller has the role.
    pub(super) role: bool,
    /// Whether the resource is of the type.
    pub(super) ty: bool,
}

/// The policy where what is decided was found to hold.
pub(super) fn without(policy: &Template, decided: Decided) -> Template {
    let mut policy = policy.clone();
    policy.action = ActionConstraint::Any;
    if decided.role {
        policy.principal = PrincipalConstraint::Any;
    }
    if decided.ty {
        policy.resource = ResourceConstraint::Any;
    }
    policy
}

/// Whether the policy asks in which groups something is.
pub(super) fn asks_for_groups(policy: &Template) -> bool {
    let principal = matches!(policy.principal, PrincipalConstraint::In(_) | PrincipalConstraint::IsIn(..));
    let action = matches!(policy.action, ActionConstraint::In(_));
    let resource = matches!(policy.resource, ResourceConstraint::In(_) | ResourceConstraint::IsIn(..));
    let clauses = policy.clauses().iter();
    principal
        || action
        || resource
        || clauses.map(|(Clause::When(expr) | Clause::Unless(expr))| expr).any(|expr| groups(expr))
}

fn groups(expr: &Expr) -> bool {
    match expr {
        Expr::BinaryOp { op: BinaryOp::In, .. } | Expr::Is { in_expr: Some(_), .. } => true,
        Expr::Literal(_) | Expr::Var(_) => false,
        Expr::UnaryOp { expr, .. }
        | Expr::GetAttr { expr, .. }
        | Expr::HasAttr { expr, .. }
        | Expr::Like { expr, .. }
        | Expr::Is { expr, in_expr: None, .. } => groups(expr),
        Expr::BinaryOp { left, right, .. } => groups(left) || groups(right),
        Expr::IfThenElse { cond, then_expr, else_expr } => {
            [cond, then_expr, else_expr].into_iter().any(|expr| groups(expr))
        }
        Expr::Set(items) => items.iter().any(|item| groups(item)),
        Expr::Record(fields) => fields.values().any(|field| groups(field)),
        // What a later version of the language has.
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use cedar_policy::{Policy, pst};

    use super::*;

    #[test]
    fn what_is_left_says_whether_it_asks_for_groups() {
        for (text, all, some) in [
            ("permit(principal, action, resource);", false, false),
            ("permit(principal in Role::\"a\", action in Action::\"reads\", resource);", false, true),
            ("permit(principal, action == Action::\"read\", resource in Type::\"Patient\");", false, true),
            (
                "permit(principal == Caller::\"a\", action, resource == Resource::\"Patient/1\");",
                false,
                false,
            ),
            ("permit(principal, action, resource) when { principal in Role::\"a\" };", true, true),
            (
                "permit(principal, action, resource) unless { [resource in Type::\"a\"].contains(true) };",
                true,
                true,
            ),
            ("permit(principal, action, resource) when { resource is Resource in Type::\"a\" };", true, true),
            (
                "permit(principal, action, resource) when { principal has tenant && resource.unnamed };",
                false,
                false,
            ),
            (
                "permit(principal, action, resource) when { if context.a then {b: principal in Role::\"a\"}.b else true };",
                true,
                true,
            ),
        ] {
            let pst::Policy::Static(policy) = Policy::parse(None, text).unwrap().to_pst().unwrap() else {
                panic!("{text}")
            };
            for (decided, expected) in [(true, all), (false, some)] {
                let left = without(policy.body(), Decided { role: decided, ty: decided });
                assert_eq!(asks_for_groups(&left), expected, "{text} {decided}");
            }
        }
    }
}
