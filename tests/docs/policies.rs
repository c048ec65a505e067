//! Policies in the documentation, and the cases beside them, hold.

use std::fs;
use std::process::Command;

use fireguard_test_support::{gateway, repository};

use crate::blocks::{blocks, pages};

#[test]
fn policies_of_a_page_decide_as_its_cases_say() {
    let mut tried = 0;
    for page in pages().iter().filter(|page| page.starts_with("docs")) {
        let text = fs::read_to_string(repository::root().join(page)).unwrap();
        let all = blocks(&text);
        let of = |language: &str, word: &str| -> Vec<String> {
            let fitting = all.iter().filter(|block| block.language == language && block.text.contains(word));
            fitting.map(|block| block.text.clone()).collect()
        };
        let (policies, cases) = (of("cedar", ""), of("toml", "[[case]]"));
        if policies.is_empty() {
            continue;
        }
        assert!(!cases.is_empty(), "{}: policies without cases", page.display());
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("cases")).unwrap();
        fs::write(folder.path().join("page.cedar"), policies.join("\n")).unwrap();
        fs::write(folder.path().join("cases/page.toml"), cases.join("\n")).unwrap();
        let mut command = Command::new(gateway::binary().unwrap());
        let output = command.args(["policy", "test"]).arg(folder.path()).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        assert!(output.status.success(), "{}: {}", page.display(), String::from_utf8_lossy(&said));
        tried += 1;
    }
    assert!(tried >= 1, "no policies were found");
}
