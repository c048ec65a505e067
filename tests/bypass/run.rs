//! Runs the catalogue.

use std::collections::BTreeMap;

use crate::attack::{Attack, Oracle};
use crate::catalogue;
use crate::data::{B, C, NOBODY};
use crate::forms::Form;
use crate::oracle::Seen;
use crate::world::World;

/// What became of an attack: what was seen of the other in which forms, and whether HAPI alone shows it.
#[derive(Default)]
struct Row {
    forms: usize,
    leaks: Vec<String>,
    /// In how many forms HAPI alone shows it.
    shown: usize,
}

#[tokio::test]
async fn bypass_nothing_of_another_patient_is_seen() {
    let world = World::start().await;
    let (mut leaks, mut blunt) = (Vec::new(), Vec::new());
    let mut table: BTreeMap<u8, (usize, usize, usize, usize)> = BTreeMap::new();
    let only = std::env::var("ATTACK").ok();
    for attack in catalogue::all() {
        if only.as_ref().is_some_and(|only| !attack.name().contains(only.as_str())) {
            continue;
        }
        let row = if attack.method == "GET" || attack.is_question() {
            look(&world, &attack).await
        } else {
            change(&world, &attack).await
        };
        let line = table.entry(attack.group).or_default();
        line.0 += 1;
        line.1 += row.forms;
        line.2 += row.shown;
        line.3 += row.leaks.len();
        leaks.extend(row.leaks.iter().map(|leak| format!("{}: {leak}", attack.name())));
        match (row.shown, attack.inert) {
            (0, None) => blunt.push(format!("{}: HAPI alone shows nothing", attack.name())),
            (1.., Some(why)) => blunt.push(format!("{}: HAPI does it after all ({why})", attack.name())),
            _ => {}
        }
    }
    println!("| group | attacks | requests | HAPI alone shows it | leaks |");
    println!("| --- | --- | --- | --- | --- |");
    for (group, (attacks, requests, shown, leaks)) in &table {
        println!("| {group} {} | {attacks} | {requests} | {shown} | {leaks} |", catalogue::title(*group));
    }
    let faults = [leaks, blunt].concat();
    assert!(faults.is_empty(), "{} faults\n{}", faults.len(), faults.join("\n"));
}

/// An attack that changes nothing.
async fn look(world: &World, attack: &Attack) -> Row {
    let mut row = Row::default();
    let (through, direct) = (world.through(&attack.token), world.direct());
    for form in Form::ALL.into_iter().filter(|form| form.fits(attack)) {
        row.forms += 1;
        let call = through.call(attack, B, form);
        let seen = through.take(&call, form).await;
        let found = seen.of(B, &call.text(), &attack.knows);
        if !found.is_empty() {
            row.leaks.push(format!("{form}: {} shows {found:?}", seen.status));
        }
        if seen.status >= 500 {
            row.leaks.push(format!("{form}: {} is no answer: {}", seen.status, seen.text));
        }
        match attack.oracle {
            Oracle::Twin => {
                let twin = through.take(&through.call(attack, NOBODY, form), form).await;
                if let Some(difference) = difference(&seen, &twin) {
                    row.leaks.push(format!("{form}: tells that it exists\n{difference}"));
                }
            }
            Oracle::Refused if refused(&seen) => {}
            Oracle::Refused => row.leaks.push(format!("{form}: {} is no refusal", seen.status)),
            Oracle::Marker => {}
        }
        let call = direct.call(attack, C, form);
        let alone = direct.take(&call, form).await;
        let marked = !alone.of(C, &call.text(), &attack.knows).is_empty();
        row.shown += usize::from(match attack.oracle {
            Oracle::Marker => marked,
            Oracle::Refused => alone.status < 400,
            Oracle::Twin => {
                let twin = direct.take(&direct.call(attack, NOBODY, form), form).await;
                let difference = difference(&alone, &twin);
                if let (Some(difference), Some(why)) = (&difference, attack.inert) {
                    println!("{form} {}: not inert ({why}):\n{difference}", attack.name());
                }
                marked || difference.is_some()
            }
        });
    }
    row
}

/// An attack that would change something.
async fn change(world: &World, attack: &Attack) -> Row {
    let mut row = Row::default();
    let (through, direct) = (world.through(&attack.token), world.direct());
    for form in Form::ALL.into_iter().filter(|form| form.fits(attack)) {
        row.forms += 1;
        let before = world.standing().await;
        let call = through.call(attack, B, form);
        let seen = through.take(&call, form).await;
        let after = world.standing().await;
        if before != after {
            row.leaks.push(format!("{form}: {} changed {:?}", seen.status, lines(&before, &after)));
            world.restore(B).await;
        }
        let found = seen.of(B, &call.text(), &attack.knows);
        if !found.is_empty() {
            row.leaks.push(format!("{form}: {} shows {found:?}", seen.status));
        }
        if seen.status >= 500 {
            row.leaks.push(format!("{form}: {} is no answer: {}", seen.status, seen.text));
        }
        if attack.oracle == Oracle::Twin {
            let twin = through.take(&through.call(attack, NOBODY, form), form).await;
            if let Some(difference) = difference(&seen, &twin) {
                row.leaks.push(format!("{form}: tells that it exists\n{difference}"));
            }
            world.sweep().await;
        }
        let alone = direct.take(&direct.call(attack, C, form), form).await;
        let works = alone.status < 300 && !refused(&alone);
        if !works && attack.inert.is_none() {
            println!("{form} {}: HAPI alone says {} {}", attack.name(), alone.status, alone.text);
        }
        row.shown += usize::from(works);
        world.restore(C).await;
    }
    row
}

/// Whether an answer says no: itself, or of each of its entries.
fn refused(seen: &Seen) -> bool {
    let entries = seen.text.contains("\"batch-response\"") && !seen.text.contains("\"status\":\"2");
    (400..500).contains(&seen.status) || entries
}

/// The first line in which two answers differ.
fn difference(one: &Seen, other: &Seen) -> Option<String> {
    let (one, other) = (one.comparable(), other.comparable());
    if one == other {
        return None;
    }
    let at = one.bytes().zip(other.bytes()).take_while(|(a, b)| a == b).count();
    let around = |text: &str| {
        let (start, end) = (at.saturating_sub(60), (at + 200).min(text.len()));
        String::from_utf8_lossy(&text.as_bytes()[start.min(text.len())..end]).replace('\n', " ")
    };
    Some(format!("  of the other: … {}\n  of nobody:    … {}", around(&one), around(&other)))
}

fn lines<'a>(before: &'a str, after: &'a str) -> Vec<&'a str> {
    after
        .lines()
        .zip(before.lines())
        .filter(|(after, before)| after != before)
        .map(|(after, _)| after)
        .collect()
}
