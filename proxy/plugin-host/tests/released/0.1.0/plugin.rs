//! A plugin of every phase, as somebody built it for version 0.1.0 of the contract. It is not compiled with the
//! workspace: `README.md` tells how `plugin.wasm` was made of it, once.
#![no_std]

extern crate alloc;

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use alloc::vec;
use core::alloc::{GlobalAlloc, Layout};
use core::sync::atomic::{AtomicUsize, Ordering};

wit_bindgen::generate!({ path: "plugin.wit", world: "plugin" });

use exports::fireguard::plugin::{ingest, request, resources, setup, written};
use fireguard::plugin::types::{Direction, Exchange, Field};
use fireguard::plugin::{
    fhir_client, http_out, key_value, log, metrics, object_store, pseudonym, terminology,
};

struct Plugin;

impl setup::Guest for Plugin {
    fn configure(settings: String, files: Vec<setup::File>) -> Result<setup::Plan, Vec<setup::Problem>> {
        if settings.contains("refuse") {
            let (file, message) = (files.first().map(|file| file.name.clone()), "refused".to_string());
            let pointer = "/refuse".to_string();
            return Err(vec![setup::Problem { file, line: 0, column: 0, pointer, message }]);
        }
        let interest = |phase: &str, directions: Vec<Direction>| setup::Interest {
            phase: phase.to_string(),
            interactions: Vec::new(),
            resource_types: vec!["Patient".to_string()],
            directions,
            extras: Vec::new(),
        };
        let interests = vec![
            interest("request", Vec::new()),
            interest("resources", vec![Direction::ToServer, Direction::ToClient]),
            interest("written", Vec::new()),
            interest("ingest", Vec::new()),
        ];
        Ok(setup::Plan { interests, needs: vec!["log".to_string()], extras: Vec::new() })
    }
}

impl request::Guest for Plugin {
    fn process(exchange: Exchange, mut head: request::Head) -> request::Action {
        head.parameters.push(Field { name: "_tag".to_string(), value: exchange.route });
        request::Action::Change(head)
    }
}

impl resources::Guest for Plugin {
    /// The first resource is edited, the second replaced by what the capabilities answer, the third refused, others
    /// dropped or kept in turns.
    fn process(
        _: Exchange,
        _: Direction,
        resources: Vec<resources::Item>,
    ) -> Vec<resources::Verdict> {
        let verdict = |(number, item): (usize, resources::Item)| match number {
            0 => {
                let end = item.content.len() as u32;
                let text = b" ".to_vec();
                resources::Verdict::Edits(vec![resources::Edit { start: end, end, text }])
            }
            1 => resources::Verdict::Replace(capabilities().into_bytes()),
            2 => resources::Verdict::Refuse(resources::Refusal {
                code: "business-rule".to_string(),
                message: "the third".to_string(),
                outcome: Some(item.content),
                extras: Vec::new(),
            }),
            odd if odd % 2 == 1 => resources::Verdict::Drop,
            _ => resources::Verdict::Keep,
        };
        resources.into_iter().enumerate().map(verdict).collect()
    }
}

impl written::Guest for Plugin {
    fn process(events: Vec<written::Event>) -> Vec<written::Settled> {
        let settled = |event: written::Event| match event.content {
            Some(_) => written::Settled::Done,
            None => written::Settled::Retry(1000),
        };
        events.into_iter().map(settled).collect()
    }
}

impl ingest::Guest for Plugin {
    fn process(
        _: Exchange,
        messages: Vec<ingest::Message>,
    ) -> Vec<Result<Vec<Vec<u8>>, ingest::Problem>> {
        let ingested = |message: ingest::Message| match message.content.is_empty() {
            false => Ok(vec![message.content]),
            true => Err(ingest::Problem {
                place: message.source,
                message: "it is empty".to_string(),
                extras: message.extras,
            }),
        };
        messages.into_iter().map(ingested).collect()
    }
}

/// Calls every capability, and says what each answered.
fn capabilities() -> String {
    log::write(log::Level::Info, "called");
    metrics::count("calls", 1);
    metrics::observe("size", 0.5);
    let value = "a".to_string();
    let values = [value.clone()];
    let entry = key_value::Entry { key: value.clone(), value: vec![1], expires_in: None };
    let request = fhir_client::Request {
        method: "GET".to_string(),
        url: "metadata".to_string(),
        headers: Vec::new(),
        body: None,
        extras: Vec::new(),
    };
    let out = http_out::Request {
        method: "GET".to_string(),
        url: "https://example.org".to_string(),
        headers: Vec::new(),
        body: None,
        extras: Vec::new(),
    };
    let coding = terminology::Coding { system: value.clone(), code: value.clone() };
    let said = [
        code(pseudonym::tokens("", &values)),
        code(pseudonym::date_offsets(&values)),
        code(pseudonym::seal("", &values)),
        code(pseudonym::open("", &values)),
        code(key_value::get(&values)),
        code(key_value::set(&[entry.clone()])),
        code(key_value::delete(&values)),
        code(key_value::swap(&entry, None)),
        code(terminology::translate("map", &[coding])),
        fhir_client::send(&[request]).into_iter().map(code).collect(),
        code(object_store::put("a", b"a", &[])),
        code(object_store::get("a")),
        code(object_store::delete("a")),
        code(object_store::names("", "")),
        code(http_out::send(&out)),
    ];
    let mut text = "\"".to_string();
    for code in said {
        text += &code;
        text += " ";
    }
    text + "\""
}

fn code<T>(answer: Result<T, fireguard::plugin::types::Error>) -> String {
    answer.map_or_else(|error| error.code, |_| "ok".to_string())
}

export!(Plugin);

/// Memory is never given back: an instance serves one exchange.
struct Bump;

static NEXT: AtomicUsize = AtomicUsize::new(0);

unsafe impl GlobalAlloc for Bump {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        const PAGE: usize = 1 << 16;
        let mut next = NEXT.load(Ordering::Relaxed);
        if next == 0 {
            next = core::arch::wasm32::memory_grow(0, 1) * PAGE;
        }
        let start = next.next_multiple_of(layout.align());
        let end = start + layout.size();
        let have = core::arch::wasm32::memory_size(0) * PAGE;
        if end > have && core::arch::wasm32::memory_grow(0, (end - have).div_ceil(PAGE)) == usize::MAX {
            return core::ptr::null_mut();
        }
        NEXT.store(end, Ordering::Relaxed);
        start as *mut u8
    }

    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}

#[global_allocator]
static MEMORY: Bump = Bump;

/// What the host takes memory by.
#[unsafe(no_mangle)]
unsafe extern "C" fn cabi_realloc(old: *mut u8, old_size: usize, align: usize, size: usize) -> *mut u8 {
    if size == 0 {
        return align as *mut u8;
    }
    unsafe {
        let new = MEMORY.alloc(Layout::from_size_align_unchecked(size, align));
        core::ptr::copy_nonoverlapping(old, new, old_size.min(size));
        new
    }
}

/// Without the standard library there is none.
#[unsafe(no_mangle)]
unsafe extern "C" fn memcmp(one: *const u8, other: *const u8, many: usize) -> i32 {
    for place in 0..many {
        let (one, other) = unsafe { (*one.add(place), *other.add(place)) };
        if one != other {
            return i32::from(one) - i32::from(other);
        }
    }
    0
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    core::arch::wasm32::unreachable()
}
