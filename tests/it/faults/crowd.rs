//! Several workers on one deletion and on many, and many who ask for the same.

use serde_json::{Value, json};

use super::{
    process::Gateway,
    victim::{Bystander, Victim, request},
};
use crate::support::on_both;

/// Two gateways, then four, with one deletion, then with many.
#[tokio::test]
async fn several_gateways_erase_each_row_once() {
    on_both(async |app| {
        let bystander = Bystander::new(&app).await;
        for (gateways, sizes) in [(2, vec![1_500]), (4, vec![900, 50, 300, 50, 50, 50, 50, 50, 50, 50])] {
            let mut victims = Vec::new();
            for size in sizes {
                victims.push(Victim::new(&app, size).await);
            }
            let running: Vec<_> = (0..gateways).map(|_| Gateway::start(&app, None)).collect();
            for victim in &victims {
                victim.is_due(&app).await;
            }
            for victim in &victims {
                victim.is_gone(&app).await;
            }
            drop(running);
        }
        bystander.has_not_noticed(&app).await;
    })
    .await;
}

/// Asked for a hundred times at once, at two gateways: one record, and everybody gets it.
#[tokio::test]
async fn a_hundred_requests_at_once_are_one_deletion() {
    on_both(async |app| {
        let victim = Victim::new(&app, 200).await;
        let gateways = [Gateway::start(&app, None), Gateway::start(&app, None)];
        let (document, variables) = request(victim.id, &json!({ "graceSeconds": 0 }));
        let asked = (0..100).map(|n| gateways[n % 2].post(document, variables.clone()));
        let answers = futures_util::future::join_all(asked).await;
        let of = |answer: &Option<Value>| {
            let answer = answer.as_ref().expect("an answer");
            let deletion = &answer["data"]["deleteTenant"]["deletion"];
            assert!(deletion["id"].is_string(), "{answer}");
            deletion["id"].clone()
        };
        let first = of(&answers[0]);
        assert!(answers.iter().all(|answer| of(answer) == first));
        assert_eq!(app.number("SELECT count(*) FROM tenant_deletions", []).await, 1);
        victim.is_gone(&app).await;
    })
    .await;
}
