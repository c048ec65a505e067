use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;

use proptest::prelude::*;

use super::*;

fn object(name: &str, content: &str) -> Object {
    Object { name: name.to_owned(), content: content.as_bytes().to_vec() }
}

async fn get(store: &Directory, name: &str) -> Result<Option<String>, StoreFault> {
    let content = store.get(name.to_owned(), 1000).await?;
    Ok(content.map(|content| String::from_utf8(content).unwrap()))
}

async fn names(store: &Directory, prefix: &str, after: &str) -> Vec<String> {
    store.names(prefix.to_owned(), after.to_owned(), 3).await.unwrap()
}

#[tokio::test]
async fn objects_come_and_go() {
    let folder = tempfile::tempdir().unwrap();
    let store = Directory::open(&folder.path().join("made/here"), 100).unwrap();
    assert_eq!(get(&store, "a").await, Ok(None));
    store.put(object("a", "one")).await.unwrap();
    store.put(object("a", "two")).await.unwrap();
    store.put(object("b/c/d", "three")).await.unwrap();
    assert_eq!(get(&store, "a").await, Ok(Some("two".to_owned())));
    assert_eq!(get(&store, "b/c/d").await, Ok(Some("three".to_owned())));
    for absent in ["b", "b/c", "a/b", "b/c/d/e", "c"] {
        assert_eq!(get(&store, absent).await, Ok(None), "{absent}");
        store.delete(absent.to_owned()).await.unwrap();
    }
    assert_eq!(store.put(object("b/c", "")).await, Err(StoreFault::IsFolder));
    assert_eq!(store.put(object("a/b", "")).await, Err(StoreFault::IsObject));
    assert_eq!(store.put(object("a/b/c", "")).await, Err(StoreFault::IsObject));
    assert_eq!(store.get("b/c/d".to_owned(), 4).await, Err(StoreFault::TooLarge { most: 4 }));
    store.delete("a".to_owned()).await.unwrap();
    assert_eq!(get(&store, "a").await, Ok(None));
    let left: Vec<_> =
        fs::read_dir(folder.path().join("made/here")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, ["b"], "nothing unfinished is left");
}

#[tokio::test]
async fn names_come_in_the_order_of_their_bytes_a_page_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let store = Directory::open(folder.path(), 1000).unwrap();
    for name in ["a/z", "a-b", "a.c", "a/b/c", "b", "a/b-c", "a/b.d"] {
        store.put(object(name, "")).await.unwrap();
    }
    fs::write(folder.path().join("no name"), "").unwrap();
    assert_eq!(names(&store, "", "").await, ["a-b", "a.c", "a/b-c"]);
    assert_eq!(names(&store, "", "a/b-c").await, ["a/b.d", "a/b/c", "a/z"]);
    assert_eq!(names(&store, "", "a/z").await, ["b"]);
    assert_eq!(names(&store, "", "b").await, [""; 0]);
    assert_eq!(names(&store, "a/b", "").await, ["a/b-c", "a/b.d", "a/b/c"]);
    assert_eq!(names(&store, "a/b/", "").await, ["a/b/c"]);
    assert_eq!(names(&store, "a", "a.c").await, ["a/b-c", "a/b.d", "a/b/c"]);
}

#[tokio::test]
async fn there_is_a_quota_and_it_is_counted_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let store = Directory::open(folder.path(), 10).unwrap();
    store.put(object("a/b", "123456")).await.unwrap();
    assert_eq!(store.put(object("c", "12345")).await, Err(StoreFault::Full { quota: 10 }));
    store.put(object("c", "1234")).await.unwrap();
    let again = Directory::open(folder.path(), 10).unwrap();
    assert_eq!(again.put(object("d", "1")).await, Err(StoreFault::Full { quota: 10 }));
    again.put(object("a/b", "12345")).await.unwrap();
    again.put(object("d", "1")).await.unwrap();
    again.delete("a/b".to_owned()).await.unwrap();
    again.put(object("d", "123456")).await.unwrap();
    // With less room than is used, there is room for what gets smaller.
    let narrow = Directory::open(folder.path(), 1).unwrap();
    narrow.put(object("d", "12345")).await.unwrap();
    assert_eq!(narrow.put(object("d", "123456")).await, Err(StoreFault::Full { quota: 1 }));
}

#[tokio::test]
async fn links_lead_nowhere() {
    let folder = tempfile::tempdir().unwrap();
    let (inside, outside) = (folder.path().join("in"), folder.path().join("out"));
    fs::create_dir_all(&outside).unwrap();
    fs::write(outside.join("secret"), "secret").unwrap();
    let store = Directory::open(&inside, 100).unwrap();
    symlink(&outside, inside.join("folder")).unwrap();
    symlink("../out", inside.join("relative")).unwrap();
    symlink(outside.join("secret"), inside.join("file")).unwrap();
    for name in ["folder/secret", "relative/secret", "file"] {
        assert_eq!(get(&store, name).await, Err(StoreFault::Outside), "{name}");
    }
    for name in ["folder/new", "relative/new", "folder/secret"] {
        assert_eq!(store.put(object(name, "changed")).await, Err(StoreFault::Outside), "{name}");
        assert_eq!(store.delete(name.to_owned()).await, Err(StoreFault::Outside), "{name}");
    }
    // A link itself is replaced, and not what it leads to.
    store.put(object("file", "changed")).await.unwrap();
    assert_eq!(fs::read_to_string(outside.join("secret")).unwrap(), "secret");
    assert_eq!(names(&store, "", "").await, ["file"]);
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);
}

#[test]
fn what_was_abandoned_is_swept_up() {
    let folder = tempfile::tempdir().unwrap();
    let (old, new) = (folder.path().join(".unfinished-1-0"), folder.path().join(".unfinished-1-1"));
    for path in [&old, &new] {
        fs::write(path, "half").unwrap();
    }
    let long_ago = SystemTime::now() - 2 * ABANDONED;
    fs::File::open(&old).unwrap().set_modified(long_ago).unwrap();
    Directory::open(folder.path(), 1).unwrap();
    assert!(!old.exists() && new.exists());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn it_does_as_a_map_does(
        steps in proptest::collection::vec(("[ab]([-/.=][ab]){0,2}", proptest::option::of(0usize..9)), 0..16),
        prefix in "[ab]?[-/]?", after in "[ab]?([-/][ab])?",
    ) {
        let folder = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let store = Directory::open(folder.path(), 20).unwrap();
            let mut model = BTreeMap::new();
            for (name, length) in steps {
                let Some(length) = length else {
                    store.delete(name.clone()).await.unwrap();
                    model.remove(&name);
                    continue;
                };
                if store.put(object(&name, &"x".repeat(length))).await.is_ok() {
                    model.insert(name, length);
                }
            }
            let used = || *store.0.used.lock().unwrap();
            assert!(used() == model.values().sum::<usize>() as u64 && used() <= 20);
            let listed = store.names(prefix.clone(), after.clone(), 5).await.unwrap();
            let expected = model.keys().filter(|name| name.starts_with(&prefix) && **name > after);
            assert_eq!(listed, expected.take(5).cloned().collect::<Vec<_>>());
        });
    }
}
