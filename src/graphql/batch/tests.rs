//! What a batch promises to those who share it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::sync::Semaphore;

use super::{Batcher, Code, Crowding, Fault, MAX_WAITING, PATIENCE, Source};
use crate::metrics::Metrics;

/// Gives every key its double, once it is let; some keys are bad.
#[derive(Clone)]
struct Doubles {
    sent: Arc<Mutex<Vec<Vec<u32>>>>,
    gate: Arc<Semaphore>,
}

/// Makes its statement fail.
const POISON: u32 = 7;
/// Makes its statement panic.
const BOMB: u32 = 13;

impl Source for Doubles {
    type Key = u32;
    type Value = u32;
    const NAME: &'static str = "doubles";
    const MAX_KEYS: usize = 200;

    async fn load(&self, keys: &[u32]) -> Result<HashMap<u32, u32>, Fault> {
        let mut sorted = keys.to_vec();
        sorted.sort_unstable();
        self.sent.lock().unwrap().push(sorted);
        self.gate.acquire().await.unwrap().forget();
        assert!(!keys.contains(&BOMB), "a bomb");
        if keys.contains(&POISON) {
            return Err(Fault::new(Code::NumberOutOfRange, "poison"));
        }
        Ok(keys.iter().filter(|key| **key != 0).map(|key| (*key, key * 2)).collect())
    }
}

fn doubles(open: usize) -> (Doubles, Batcher<Doubles>) {
    let source = Doubles { sent: Arc::default(), gate: Arc::new(Semaphore::new(open)) };
    (source.clone(), Batcher::new(source, Crowding::SERVED, Metrics::default().batches(Doubles::NAME)))
}

fn value(answers: &HashMap<u32, Result<Option<u32>, Fault>>, key: u32) -> Result<Option<u32>, &'static str> {
    answers[&key].as_ref().map(|value| *value).map_err(|fault| fault.code().word())
}

/// Lets tasks that were started get to where they wait.
async fn settle() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn what_gathers_meanwhile_goes_out_together_and_no_key_joins_what_was_sent() {
    let (source, batcher) = doubles(0);
    let ask = |keys: Vec<u32>| {
        let batcher = batcher.clone();
        tokio::spawn(async move { batcher.ask(&keys).await })
    };
    let first = ask(vec![1]);
    settle().await;
    let (again, second, none) = (ask(vec![1]), ask(vec![2, 3]), ask(vec![0]));
    settle().await;
    assert_eq!(*source.sent.lock().unwrap(), [[1]]);
    source.gate.add_permits(10);
    assert_eq!(value(&first.await.unwrap(), 1), Ok(Some(2)));
    assert_eq!(value(&again.await.unwrap(), 1), Ok(Some(2)));
    assert_eq!(value(&second.await.unwrap(), 3), Ok(Some(6)));
    assert_eq!(value(&none.await.unwrap(), 0), Ok(None), "nothing is known of it");
    assert_eq!(*source.sent.lock().unwrap(), [vec![1], vec![0, 1, 2, 3]]);
}

#[tokio::test]
async fn who_wants_what_is_being_read_shares_the_next_statement_and_others_need_not_wait() {
    let (source, batcher) = doubles(0);
    let crowd = u32::try_from(Crowding::SERVED.crowd).unwrap();
    let group = |from: u32| -> Vec<u32> { (from..from + crowd).collect() };
    let ask = |keys: Vec<u32>| {
        let batcher = batcher.clone();
        tokio::spawn(async move { batcher.ask(&keys).await })
    };
    let mut asks = Vec::new();
    for _ in 0..5 {
        asks.push(ask(group(100)));
        settle().await;
    }
    assert_eq!(*source.sent.lock().unwrap(), [group(100)], "four wait for the first");
    source.gate.add_permits(1);
    settle().await;
    assert_eq!(*source.sent.lock().unwrap(), [group(100), group(100)], "and share the second");
    asks.push(ask(group(200)));
    settle().await;
    assert_eq!(source.sent.lock().unwrap()[2..], [group(200)], "beside it");
    source.gate.add_permits(2);
    for asked in asks {
        assert!(asked.await.unwrap().values().all(|answer| matches!(answer, Ok(Some(_)))));
    }
    for group in [group(100), group(200)] {
        ask(group);
        settle().await;
    }
    assert_eq!(source.sent.lock().unwrap().len(), 5, "what has been read is not being read");
}

#[tokio::test]
async fn who_gives_up_is_not_asked_for_and_disturbs_nobody() {
    let (source, batcher) = doubles(0);
    let ask = |keys: Vec<u32>| {
        let batcher = batcher.clone();
        tokio::spawn(async move { batcher.ask(&keys).await })
    };
    let (sent, waiting, stays) = (ask(vec![1]), ask(vec![2]), ask(vec![3]));
    settle().await;
    sent.abort();
    waiting.abort();
    settle().await;
    source.gate.add_permits(10);
    assert_eq!(value(&stays.await.unwrap(), 3), Ok(Some(6)));
    let asked: Vec<u32> = source.sent.lock().unwrap().concat();
    assert!(asked.contains(&3), "{asked:?}");
    assert_eq!(value(&batcher.ask(&[4]).await, 4), Ok(Some(8)), "and others are still answered");
}

#[tokio::test]
async fn a_bad_key_takes_no_answer_from_the_others() {
    let (_, batcher) = doubles(1_000);
    let answers = batcher.ask(&[5, 6, POISON, 8]).await;
    assert_eq!(value(&answers, POISON), Err("NUMBER_OUT_OF_RANGE"));
    for key in [5, 6, 8] {
        assert_eq!(value(&answers, key), Ok(Some(key * 2)));
    }
}

#[tokio::test]
async fn a_panic_is_an_error_and_the_next_are_answered() {
    let (source, batcher) = doubles(0);
    let bombed = tokio::spawn({
        let batcher = batcher.clone();
        async move { batcher.ask(&[BOMB]).await }
    });
    settle().await;
    let next = tokio::spawn({
        let batcher = batcher.clone();
        async move { batcher.ask(&[1]).await }
    });
    settle().await;
    source.gate.add_permits(10);
    assert_eq!(value(&bombed.await.unwrap(), BOMB), Err("INTERNAL"));
    assert_eq!(value(&next.await.unwrap(), 1), Ok(Some(2)), "it had waited for the flight that crashed");
    assert_eq!(value(&batcher.ask(&[2]).await, 2), Ok(Some(4)));
}

#[tokio::test(start_paused = true)]
async fn waiting_is_bounded_in_time_and_number() {
    let (_, batcher) = doubles(0);
    let begun = tokio::time::Instant::now();
    assert_eq!(value(&batcher.ask(&[1]).await, 1), Err("UNAVAILABLE"));
    assert!(begun.elapsed() >= PATIENCE && begun.elapsed() < PATIENCE + Duration::from_secs(1));

    let group = |number: u32| -> Vec<u32> { (0..100).map(|key| number * 100 + key + 20).collect() };
    let (mut full, mut groups) = (Vec::new(), 0..);
    // Once more, for what the flights have taken.
    for number in [MAX_WAITING / 100, 8] {
        for own in groups.by_ref().take(number) {
            let (batcher, group) = (batcher.clone(), group(own));
            full.push(tokio::spawn(async move { batcher.ask(&group).await }));
        }
        // Time moves on only when everybody waits.
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let begun = tokio::time::Instant::now();
    assert_eq!(value(&batcher.ask(&group(0)).await, 20), Err("UNAVAILABLE"));
    assert_eq!(begun.elapsed(), Duration::ZERO, "turned away at once");
    for ask in full {
        ask.abort();
    }
}

/// Answers a key at a time, each once it is let.
struct Gates(HashMap<u32, Arc<Semaphore>>, Arc<Mutex<Vec<u32>>>);

impl Source for Gates {
    type Key = u32;
    type Value = u32;
    const NAME: &'static str = "gates";
    const MAX_KEYS: usize = 1;

    async fn load(&self, keys: &[u32]) -> Result<HashMap<u32, u32>, Fault> {
        self.1.lock().unwrap().extend(keys);
        self.0[&keys[0]].acquire().await.unwrap().forget();
        Ok(keys.iter().map(|key| (*key, *key)).collect())
    }
}

#[tokio::test]
async fn what_is_read_apart_waits_for_nothing_else_and_is_shared() {
    let gates: HashMap<u32, Arc<Semaphore>> = (1..4).map(|key| (key, Arc::new(Semaphore::new(0)))).collect();
    let sent = Arc::new(Mutex::new(Vec::new()));
    let source = Gates(gates.clone(), sent.clone());
    let batcher = Batcher::new(source, Crowding::APART, Metrics::default().batches(Gates::NAME));
    let ask = |key: u32| {
        let batcher = batcher.clone();
        tokio::spawn(async move { value(&batcher.ask(&[key]).await, key) })
    };
    let mut asks = Vec::new();
    for key in [1, 1, 2, 1, 2, 1, 2, 3] {
        asks.push(ask(key));
        settle().await;
    }
    assert_eq!(*sent.lock().unwrap(), [1, 2, 3], "others are sent while the first hangs");
    gates[&2].add_permits(9);
    gates[&3].add_permits(9);
    settle().await;
    assert!(asks[2].is_finished() && asks[4].is_finished() && asks[6].is_finished() && asks[7].is_finished());
    gates[&1].add_permits(9);
    for ask in asks {
        assert!(ask.await.unwrap().unwrap().is_some());
    }
    let sent = sent.lock().unwrap();
    assert!(sent.len() <= 6, "{sent:?}");
}

#[tokio::test]
async fn whoever_asks_for_the_same_shares_a_statement_however_many_they_are() {
    let (source, batcher) = doubles(0);
    let asks: Vec<_> = (0..1_000)
        .map(|number| {
            let batcher = batcher.clone();
            tokio::spawn(async move { value(&batcher.ask(&[1 + number % 3]).await, 1 + number % 3) })
        })
        .collect();
    settle().await;
    source.gate.add_permits(1_000);
    for (number, ask) in (0..).zip(asks) {
        assert_eq!(ask.await.unwrap(), Ok(Some((1 + number % 3) * 2)));
    }
    let sent = source.sent.lock().unwrap();
    assert!(sent.len() <= 3, "{sent:?}");
}
