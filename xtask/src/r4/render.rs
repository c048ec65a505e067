//! Writes the tables as Rust.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use super::{
    Error,
    definitions::{Definitions, list, text},
    graph::{Graph, Key},
};

/// The bit of an element's type number that says that it repeats.
const MANY: usize = 0x8000;

/// `enum ResourceType` and its names.
pub(super) fn resource_types(graph: &Graph) -> String {
    let names: Vec<&str> = graph.resources().collect();
    let mut out = String::from("/// The resource types of R4, sorted by name.\n");
    out += "#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]\n#[repr(u8)]\n";
    out += "pub enum ResourceType {\n";
    for name in &names {
        let page = name.to_lowercase();
        let _ = writeln!(out, "    /// <https://hl7.org/fhir/R4/{page}.html>\n    {name},");
    }
    out += "}\n\nimpl ResourceType {\n    /// Every resource type, sorted by name.\n";
    let _ = writeln!(out, "    pub const ALL: [Self; {}] = [", names.len());
    for name in &names {
        let _ = writeln!(out, "        Self::{name},");
    }
    let _ = writeln!(out, "    ];\n}}\n\npub(crate) static NAMES: [&str; {}] = [", names.len());
    for name in &names {
        let _ = writeln!(out, "    {name:?},");
    }
    out + "];\n"
}

/// Names, types and elements by number.
pub(super) fn elements(graph: &Graph) -> Result<String, Error> {
    let mut names = BTreeSet::new();
    for ty in graph.types.values() {
        names.insert(ty.name.as_str());
        for (json_name, element) in &ty.elements {
            names.extend([json_name.as_str(), element.definition_name.as_str()]);
        }
    }
    let name_ids: BTreeMap<&str, usize> = names.iter().enumerate().map(|(id, name)| (*name, id)).collect();
    let type_ids: BTreeMap<&Key, usize> = graph.types.keys().enumerate().map(|(id, key)| (key, id)).collect();
    let rows: usize = graph.types.values().map(|ty| ty.elements.len()).sum();
    if rows > usize::from(u16::MAX) || type_ids.len() > MANY || name_ids.len() > usize::from(u16::MAX) {
        return Err(Error::Definition("too many elements for 16-bit numbers".into()));
    }

    let count = |wanted: fn(&Key) -> bool| graph.types.keys().filter(|key| wanted(key)).count();
    let resources = count(|key| matches!(key, Key::Resource(_) | Key::AbstractResource(_)));
    let primitives = resources + count(|key| matches!(key, Key::Primitive(_)));
    let named = count(|key| !matches!(key, Key::Backbone(_)));
    let mut out = String::new();
    let _ = writeln!(
        out,
        "/// Types before this number are resources.\npub(in crate::r4) const RESOURCES: u16 = {resources};"
    );
    let _ = writeln!(
        out,
        "/// Types from there and before this number are primitive.\npub(in crate::r4) const PRIMITIVES: u16 = {primitives};"
    );
    let _ = writeln!(
        out,
        "/// Types before this number have a name of their own.\npub(in crate::r4) const NAMED: u16 = {named};\n"
    );

    let _ = writeln!(
        out,
        "/// Names of types and elements, sorted.\npub(in crate::r4) static NAMES: [&str; {}] = [",
        names.len()
    );
    for name in &names {
        let _ = writeln!(out, "    {name:?},");
    }
    out += "];\n\n/// For each type the number of its name and of its first element; the last entry ends the last type.\n";
    let _ = writeln!(out, "pub(in crate::r4) static TYPES: [(u16, u16); {}] = [", type_ids.len() + 1);
    let mut first = 0;
    for (key, ty) in &graph.types {
        let _ = writeln!(out, "    ({}, {first}), // {}", name_ids[ty.name.as_str()], label(key));
        first += ty.elements.len();
    }
    let _ = writeln!(out, "    (0, {first}),\n];\n");

    out += "/// For each element the numbers of its JSON name, definition name and type (0x8000 added: it repeats),\n";
    out += "/// sorted by JSON name within a type.\n";
    let _ = writeln!(out, "pub(in crate::r4) static ELEMENTS: [(u16, u16, u16); {rows}] = [");
    for (key, ty) in &graph.types {
        let _ = writeln!(out, "    // {}", label(key));
        out += "   ";
        for (json_name, element) in &ty.elements {
            let (name, definition) =
                (name_ids[json_name.as_str()], name_ids[element.definition_name.as_str()]);
            let Some(mut ty) = type_ids.get(&element.key).copied() else {
                return Err(Error::Definition(format!("{} refers to {:?}", label(key), element.key)));
            };
            if element.many {
                ty |= MANY;
            }
            let _ = write!(out, " ({name}, {definition}, {ty:#x}),");
        }
        out += "\n";
    }
    Ok(out + "];\n")
}

fn label(key: &Key) -> &str {
    match key {
        Key::Resource(name)
        | Key::AbstractResource(name)
        | Key::Primitive(name)
        | Key::Complex(name)
        | Key::Backbone(name) => name,
    }
}

/// For each resource type the elements that refer to the patients it belongs to.
pub(super) fn compartment(graph: &Graph, definitions: &Definitions) -> Result<String, Error> {
    let mut out = String::from(
        "/// For each resource type the paths of the elements that put it into a patient's compartment.\n",
    );
    let _ = writeln!(
        out,
        "pub(in crate::r4) static PATIENT_REFERENCES: [&[&str]; {}] = [",
        graph.resources().count()
    );
    for resource in graph.resources() {
        let mut paths = BTreeSet::new();
        for name in definitions.patient_compartment.get(resource).into_iter().flatten() {
            for path in reference_paths(definitions, resource, name)? {
                if graph.resolve(resource, &path).is_none_or(|ty| ty.name != "Reference") {
                    return Err(Error::Definition(format!("{resource}.{path} is not a Reference")));
                }
                paths.insert(path);
            }
        }
        let paths = paths.iter().map(|path| format!("{path:?}")).collect::<Vec<_>>().join(", ");
        let _ = writeln!(out, "    &[{paths}], // {resource}");
    }
    Ok(out + "];\n")
}

/// The paths of a search parameter's expression that start at this resource type.
fn reference_paths(definitions: &Definitions, resource: &str, name: &str) -> Result<Vec<String>, Error> {
    let parameter = definitions
        .search_parameters
        .iter()
        .find(|parameter| {
            parameter["code"] == name && list(&parameter["base"]).iter().any(|base| base == resource)
        })
        .ok_or_else(|| Error::Definition(format!("{resource} has no search parameter {name}")))?;
    let mut paths = Vec::new();
    for alternative in text(&parameter["expression"])?.split('|') {
        let alternative = alternative.trim();
        let path = alternative.strip_suffix(".where(resolve() is Patient)").unwrap_or(alternative);
        if let Some(path) = path.strip_prefix(resource).and_then(|rest| rest.strip_prefix('.')) {
            paths.push(path.to_owned());
        }
    }
    if paths.is_empty() {
        return Err(Error::Definition(format!("search parameter {name} says nothing of {resource}")));
    }
    Ok(paths)
}

/// For each resource type its search parameters, and those of every resource.
pub(super) fn search_parameters(graph: &Graph, definitions: &Definitions) -> Result<String, Error> {
    let mut by_base = definitions.search_parameter_types.clone();
    for parameter in &definitions.search_parameters {
        for base in
            list(&parameter["base"]).iter().filter(|base| *base == "Resource" || *base == "DomainResource")
        {
            let parameters = by_base.entry(text(base)?.to_owned()).or_default();
            parameters.insert(text(&parameter["code"])?.to_owned(), text(&parameter["type"])?.to_owned());
        }
    }
    let mut out = String::from("use crate::r4::SearchParameterType::{\n");
    out += "    self, Composite, Date, Number, Quantity, Reference, Special, String, Token, Uri,\n};\n\n";
    let mut line = |out: &mut String, base: &str| {
        let own = by_base.remove(base).unwrap_or_default();
        let own = own.iter().map(|(name, ty)| format!("({name:?}, {}{})", ty[..1].to_uppercase(), &ty[1..]));
        let _ = write!(out, "&[{}]", own.collect::<Vec<_>>().join(", "));
    };
    for (name, base) in [("RESOURCE", "Resource"), ("DOMAIN_RESOURCE", "DomainResource")] {
        let _ = writeln!(out, "/// Search parameters of `{base}`, sorted.");
        let _ = write!(out, "pub(in crate::r4) static {name}: &[(&str, SearchParameterType)] = ");
        line(&mut out, base);
        out += ";\n\n";
    }
    out += "/// For each resource type its own search parameters, sorted.\n";
    let count = graph.resources().count();
    let _ = writeln!(out, "pub(in crate::r4) static BY_TYPE: [&[(&str, SearchParameterType)]; {count}] = [");
    for resource in graph.resources() {
        let _ = write!(out, "    // {resource}\n    ");
        line(&mut out, resource);
        out += ",\n";
    }
    Ok(out + "];\n")
}

/// For each resource type: what its reference parameters lead to, the elements its parameters look at, and the
/// parameters that put it into a patient's compartment.
pub(super) fn search_targets(graph: &Graph, definitions: &Definitions) -> Result<String, Error> {
    let count = graph.resources().count();
    let mut targets = format!(
        "/// For each resource type its reference parameters and the types they lead to, sorted; no type: any.\n\
         pub(in crate::r4) static TARGETS: [&[(&str, &[ResourceType])]; {count}] = [\n"
    );
    let mut elements = format!(
        "/// For each resource type its parameters and the elements of the resource they look at, sorted; no element: \
         anywhere.\npub(in crate::r4) static ELEMENTS: [&[(&str, &[&str])]; {count}] = [\n"
    );
    let mut patient = format!(
        "/// For each resource type the parameters that put it into a patient's compartment.\n\
         pub(in crate::r4) static PATIENT: [&[&str]; {count}] = [\n"
    );
    for resource in graph.resources() {
        let (mut leads, mut looks) = (Vec::new(), Vec::new());
        for (name, ty) in definitions.search_parameter_types.get(resource).into_iter().flatten() {
            let defined = definitions.search_parameters.iter().find(|parameter| {
                parameter["code"] == *name && list(&parameter["base"]).iter().any(|base| base == resource)
            });
            let Some(defined) = defined else {
                return Err(Error::Definition(format!("{resource} has no search parameter {name}")));
            };
            if ty == "reference" {
                let named: BTreeSet<&str> =
                    list(&defined["target"]).iter().map(text).collect::<Result<_, _>>()?;
                let types: Vec<&str> = graph.resources().filter(|ty| named.contains(ty)).collect();
                // All but Parameters, which nothing refers to.
                let any = types.len() + 1 >= count;
                let types: Vec<_> =
                    types.iter().filter(|_| !any).map(|ty| format!("ResourceType::{ty}")).collect();
                leads.push(format!("({name:?}, &[{}])", types.join(", ")));
            }
            let elements: Vec<_> = looked_at(resource, defined["expression"].as_str())
                .iter()
                .map(|name| format!("{name:?}"))
                .collect();
            looks.push(format!("({name:?}, &[{}])", elements.join(", ")));
        }
        let own = definitions.patient_compartment.get(resource).map_or(&[][..], Vec::as_slice);
        let own: Vec<_> = own.iter().map(|name| format!("{name:?}")).collect();
        let _ = writeln!(targets, "    // {resource}\n    &[{}],", leads.join(", "));
        let _ = writeln!(elements, "    // {resource}\n    &[{}],", looks.join(", "));
        let _ = writeln!(patient, "    &[{}], // {resource}", own.join(", "));
    }
    Ok(format!("use crate::r4::ResourceType;\n\n{targets}];\n\n{elements}];\n\n{patient}];\n"))
}

/// The elements of a resource that an expression starts from; none: it may look anywhere.
fn looked_at(resource: &str, expression: Option<&str>) -> BTreeSet<String> {
    let mut elements = BTreeSet::new();
    for alternative in expression.unwrap_or_default().split('|') {
        let alternative = alternative.trim().trim_start_matches('(');
        let Some(rest) = alternative.strip_prefix(resource) else { continue };
        let Some(rest) = rest.strip_prefix('.') else {
            // The resource itself, or another type of a longer name.
            if rest.starts_with(|c: char| c.is_ascii_alphanumeric()) {
                continue;
            }
            return BTreeSet::new();
        };
        elements.insert(rest.chars().take_while(char::is_ascii_alphanumeric).collect());
    }
    elements
}
