use std::collections::VecDeque;

use futures_util::{FutureExt, stream};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};

use super::*;
use crate::body::{Body, BodyError, full};

fn concurrency(start: usize, length: usize) -> Arc<Concurrency> {
    let bounds = Bounds { start, least: 1, most: 100 };
    Arc::new(Concurrency::new(bounds, Waiting { time: Duration::from_secs(60), length }))
}

#[tokio::test]
async fn so_many_pass_and_so_many_wait() {
    let concurrency = concurrency(2, 1);
    let one = concurrency.permit(Class::Read).await.ok().unwrap();
    let _two = concurrency.permit(Class::Write).await.ok().unwrap();
    let mut third = Box::pin(concurrency.permit(Class::Read));
    assert!((&mut third).now_or_never().is_none());
    assert_eq!(concurrency.permit(Class::Read).await.err(), Some(Shed::Full));
    drop(one);
    assert!(third.await.is_ok());
}

#[tokio::test]
async fn who_waits_too_long_is_sent_away() {
    let bounds = Bounds { start: 1, least: 1, most: 1 };
    let waiting = Waiting { time: Duration::from_millis(30), length: 10 };
    let concurrency = Arc::new(Concurrency::new(bounds, waiting));
    let held = concurrency.permit(Class::Write).await.ok().unwrap();
    assert_eq!(concurrency.permit(Class::Read).await.err(), Some(Shed::TooLong));
    drop(held);
    assert!(concurrency.permit(Class::Read).await.is_ok(), "nothing is lost with it");
}

/// Reads go first, but one turn in eight is for the others.
#[tokio::test]
async fn reads_go_first() {
    let concurrency = concurrency(1, 100);
    let mut held = concurrency.permit(Class::Write).await.ok();
    let classes = [Class::Write, Class::Batch, Class::Search].into_iter().chain(vec![Class::Read; 12]);
    let mut waiting: VecDeque<_> =
        classes.map(|class| (class, Box::pin(concurrency.permit(class)))).collect();
    for (_, wait) in &mut waiting {
        assert!(wait.now_or_never().is_none());
    }
    let mut order = Vec::new();
    while !waiting.is_empty() {
        drop(held.take());
        let next = (0..waiting.len()).find_map(|at| {
            let permit = (&mut waiting[at].1).now_or_never()?.ok()?;
            Some((at, permit))
        });
        let (at, permit) = next.unwrap();
        order.push(waiting.remove(at).unwrap().0);
        held = Some(permit);
    }
    let first_others: Vec<_> = order.iter().take(9).filter(|class| **class != Class::Read).collect();
    assert_eq!(first_others, [&Class::Write], "{order:?}");
    assert_eq!(order[13..], [Class::Batch, Class::Search], "{order:?}");
}

#[tokio::test]
async fn who_gives_up_does_not_keep_the_turn() {
    let concurrency = concurrency(1, 100);
    let held = concurrency.permit(Class::Write).await.ok().unwrap();
    let mut given_up = Box::pin(concurrency.permit(Class::Read));
    assert!((&mut given_up).now_or_never().is_none());
    let mut patient = Box::pin(concurrency.permit(Class::Read));
    assert!((&mut patient).now_or_never().is_none());
    drop(given_up);
    drop(held);
    assert!(patient.now_or_never().is_some());
}

fn pieces(count: usize) -> Body {
    let frames = (0..count).map(|_| Ok::<_, BodyError>(Frame::data("x".into())));
    StreamBody::new(stream::iter(frames)).boxed_unsync()
}

#[tokio::test]
async fn an_answer_holds_its_permit_to_its_end() {
    let concurrency = concurrency(1, 100);
    let free = || concurrency.permit(Class::Read).now_or_never().is_some();
    let permit = || async { concurrency.permit(Class::Read).await.ok().unwrap() };
    let mut body = permit().await.held_by(pieces(2));
    assert!(!free());
    body.frame().await;
    assert!(!free());
    body.collect().await.unwrap();
    assert!(free());
    drop(permit().await.held_by(pieces(2)));
    assert!(free(), "one that is dropped");
    let mut whole = permit().await.held_by(full("x"));
    whole.frame().await;
    assert!(free(), "its last byte is its end");
}

/// A client that does not read its answer keeps nobody waiting.
#[tokio::test]
async fn an_idle_client_loses_its_permit() {
    let concurrency = concurrency(1, 100);
    let mut body = concurrency.permit(Class::Read).await.ok().unwrap().held_by(pieces(2));
    body.frame().await;
    assert!(concurrency.permit(Class::Read).await.is_ok());
    assert_eq!(body.collect().await.unwrap().to_bytes(), "x", "it gets the rest all the same");
}
