//! Developer commands.

mod r4;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["r4"] => Ok(r4::run()?),
        ["r4", "--check"] => Ok(r4::check()?),
        _ => Err("usage: cargo xtask r4 [--check]".into()),
    }
}
