//! Work that is done at least once.

use std::time::Duration;

use fireguard_state::{Leased, Queue, Settlement, Standing, Task};

use crate::{Time, fresh};

const LEASE: Duration = Duration::from_secs(60);

fn task(content: &str) -> Task {
    Task { content: content.as_bytes().to_vec(), after: Duration::ZERO }
}

fn done(leased: &Leased) -> Settlement {
    Settlement { id: leased.id, attempt: leased.attempt, again: None }
}

async fn take(queue: &dyn Queue, name: &str, most: u32) -> Vec<Leased> {
    queue.lease(name, most, LEASE).await.unwrap()
}

fn contents(leased: &[Leased]) -> Vec<&str> {
    leased.iter().map(|leased| std::str::from_utf8(&leased.content).unwrap()).collect()
}

async fn hands_out_in_order_and_once(queue: &dyn Queue) {
    let ids = queue.append("a", vec![task("1"), task("2"), task("3")]).await.unwrap();
    assert!(ids.is_sorted() && ids.len() == 3);
    queue.append("b", vec![task("other")]).await.unwrap();
    let two = take(queue, "a", 2).await;
    assert_eq!(contents(&two), ["1", "2"]);
    assert_eq!(contents(&take(queue, "a", 9).await), ["3"]);
    assert_eq!(take(queue, "a", 9).await, []);
    assert_eq!(queue.settle("a", two.iter().map(done).collect()).await, Ok(2));
    assert_eq!(queue.settle("a", two.iter().map(done).collect()).await, Ok(0), "they are done with");
    assert_eq!(contents(&take(queue, "b", 9).await), ["other"]);
}

async fn comes_again_when_nobody_settles_it(queue: &dyn Queue, time: &Time) {
    queue.append("l", vec![task("1")]).await.unwrap();
    let first = take(queue, "l", 1).await;
    time.passes(59_999);
    assert_eq!(take(queue, "l", 1).await, []);
    time.passes(1);
    let second = take(queue, "l", 1).await;
    assert_eq!((second[0].id, second[0].attempt), (first[0].id, 2));
    assert_eq!(queue.settle("l", vec![done(&first[0])]).await, Ok(0), "it is the second holder's now");
    assert_eq!(queue.settle("another", vec![done(&second[0])]).await, Ok(0));
    assert_eq!(queue.settle("l", vec![done(&second[0])]).await, Ok(1));
}

async fn is_held_by_who_says_so(queue: &dyn Queue, time: &Time) {
    queue.append("h", vec![task("1")]).await.unwrap();
    let held: Vec<_> = take(queue, "h", 1).await.iter().map(|leased| (leased.id, leased.attempt)).collect();
    for _ in 0..3 {
        time.passes(59_000);
        assert_eq!(queue.hold("h", held.clone(), LEASE).await, Ok(1));
    }
    time.passes(59_999);
    assert_eq!(take(queue, "h", 1).await, []);
    time.passes(1);
    assert_eq!(take(queue, "h", 1).await.len(), 1);
    assert_eq!(queue.hold("h", held, LEASE).await, Ok(0), "somebody else has it");
}

async fn waits_until_it_is_due(queue: &dyn Queue, time: &Time) {
    let later = Task { after: Duration::from_secs(5), ..task("later") };
    queue.append("w", vec![later, task("now")]).await.unwrap();
    let leased = take(queue, "w", 9).await;
    assert_eq!(contents(&leased), ["now"]);
    let again = Settlement { again: Some(Duration::from_secs(7)), ..done(&leased[0]) };
    assert_eq!(queue.settle("w", vec![again]).await, Ok(1));
    time.passes(5_000);
    assert_eq!(contents(&take(queue, "w", 9).await), ["later"]);
    time.passes(2_000);
    let leased = take(queue, "w", 9).await;
    assert_eq!((contents(&leased), leased[0].attempt), (vec!["now"], 2));
}

async fn says_how_much_there_is(queue: &dyn Queue, time: &Time) {
    assert_eq!(queue.standing("s").await, Ok(Standing::default()));
    queue.append("s", vec![task("1")]).await.unwrap();
    time.passes(2_000);
    queue.append("s", vec![task("2")]).await.unwrap();
    time.passes(1_000);
    let oldest = |seconds| Some(Duration::from_secs(seconds));
    assert_eq!(queue.standing("s").await, Ok(Standing { length: 2, oldest: oldest(3) }));
    let leased = take(queue, "s", 1).await;
    assert_eq!(queue.standing("s").await.unwrap().length, 2, "what is taken is not settled");
    queue.settle("s", vec![done(&leased[0])]).await.unwrap();
    assert_eq!(queue.standing("s").await, Ok(Standing { length: 1, oldest: oldest(1) }));
}

async fn folds_several_into_one_or_none(queue: &dyn Queue, time: &Time) {
    queue.append("f", vec![task("1"), task("2"), task("3")]).await.unwrap();
    time.passes(1_000);
    let held =
        |leased: &[Leased]| leased.iter().map(|leased| (leased.id, leased.attempt)).collect::<Vec<_>>();
    let two = held(&take(queue, "f", 2).await);
    let lost = vec![two[0], (two[1].0, two[1].1 + 1)];
    assert_eq!(queue.fold("f", lost, "g", task("1+2")).await, Ok(false), "the second is somebody else's");
    assert_eq!(queue.standing("f").await.unwrap().length, 3);
    assert_eq!(queue.standing("g").await, Ok(Standing::default()));
    assert_eq!(queue.fold("f", two.clone(), "g", task("1+2")).await, Ok(true));
    assert_eq!(queue.fold("f", two, "g", task("1+2")).await, Ok(false), "once");
    let oldest = Some(Duration::from_secs(1));
    assert_eq!(queue.standing("g").await, Ok(Standing { length: 1, oldest }));
    assert_eq!(contents(&take(queue, "g", 9).await), ["1+2"]);
    assert_eq!(contents(&take(queue, "f", 9).await), ["3"]);
}

#[tokio::test]
async fn queue() {
    let fresh = fresh();
    hands_out_in_order_and_once(&fresh.store).await;
    comes_again_when_nobody_settles_it(&fresh.store, &fresh.time).await;
    is_held_by_who_says_so(&fresh.store, &fresh.time).await;
    waits_until_it_is_due(&fresh.store, &fresh.time).await;
    says_how_much_there_is(&fresh.store, &fresh.time).await;
    folds_several_into_one_or_none(&fresh.store, &fresh.time).await;
}

#[tokio::test]
async fn many_who_take_at_once_get_each_task_once() {
    let fresh = fresh();
    let all: Vec<_> = (0..500).map(|n| task(&n.to_string())).collect();
    fresh.store.append("q", all).await.unwrap();
    let takers = (0..5).map(|_| {
        let store = fresh.store.clone();
        tokio::spawn(async move {
            let mut mine = Vec::new();
            loop {
                let leased = take(&store, "q", 7).await;
                if leased.is_empty() {
                    return mine;
                }
                mine.extend(leased.iter().map(|leased| leased.id));
                store.settle("q", leased.iter().map(done).collect()).await.unwrap();
            }
        })
    });
    let mut taken = Vec::new();
    for taker in takers.collect::<Vec<_>>() {
        taken.extend(taker.await.unwrap());
    }
    taken.sort_unstable();
    taken.dedup();
    assert_eq!(taken.len(), 500);
    assert_eq!(fresh.store.standing("q").await.unwrap().length, 0);
}
