//! The first page: what it shows can be pasted, and its tables are complete.

use std::collections::BTreeSet;

use crate::{
    cli,
    support::{Rows, TenantRow, Token, on_both},
};

const README: &str = include_str!("../../README.md");

/// The blocks of code in one language.
fn blocks(language: &str) -> Vec<&'static str> {
    let fence = format!("```{language}\n");
    README.split(&fence).skip(1).map(|rest| rest.split("```").next().expect("an end")).collect()
}

#[tokio::test]
async fn every_query_can_be_pasted() {
    on_both(async |app| {
        let tenant = app.tenant(TenantRow { name: "Lumen Dental".into(), ..TenantRow::default() }).await;
        app.platform(tenant).await;
        app.erase();
        let documents = blocks("graphql");
        assert!(documents.len() >= 4);
        for document in documents {
            let document =
                document.replace("TENANT-ID", &tenant.to_string()).replace("TENANT-NAME", "Lumen Dental");
            let answer = app.post(Token::Admin, &document, serde_json::json!({})).await;
            assert_eq!(answer.body.get("errors"), None, "{document}");
            let refusals = &answer.body["data"]["deleteTenant"]["userErrors"];
            assert!(refusals.as_array().is_none_or(Vec::is_empty), "{refusals}");
        }
        assert_eq!(app.number("SELECT count(*) FROM tenants", []).await, 0, "the examples erase the tenant");
    })
    .await;
}

/// The options in a text, such as `--listen`.
fn options(text: &str) -> BTreeSet<String> {
    let named = text
        .split("--")
        .skip(1)
        .map(|rest| rest.chars().take_while(|c| c.is_ascii_lowercase() || *c == '-').collect::<String>());
    named.filter(|name| !name.is_empty()).collect()
}

#[test]
fn the_table_of_options_is_what_the_commands_take() {
    let table: Vec<_> = README.lines().skip_while(|line| !line.starts_with("| option |")).collect();
    let table: Vec<_> = table.into_iter().take_while(|line| line.starts_with('|')).skip(2).collect();
    let told: BTreeSet<_> =
        table.iter().flat_map(|line| options(line.split('|').nth(1).expect("a cell"))).collect();
    let mut taken = BTreeSet::new();
    for command in [
        &["serve"][..],
        &["demo"],
        &["migrate", "up"],
        &["migrate", "down"],
        &["migrate", "status"],
        &["seed"],
        &["tenant", "stats"],
        &["tenant", "preview"],
        &["tenant", "delete"],
        &["tenant", "status"],
        &["tenant", "cancel"],
        &["tenant", "resume"],
        &["tenant", "certificate"],
        &["tenant", "replay"],
        &["usage", "rebuild"],
        &["usage", "verify"],
        &["token"],
        &["schema"],
    ] {
        let help = String::from_utf8(cli::run(&[command, &["--help"]].concat()).stdout).expect("text");
        let lines = help.lines().filter(|line| line.trim_start().starts_with("--"));
        for line in lines {
            let option = options(line.trim_start().split([' ', '=']).next().expect("a word"));
            let is_told = table.iter().any(|row| {
                option.is_subset(&options(row)) && (row.contains(command[0]) || row.contains("every command"))
            });
            assert!(is_told, "{option:?} of {command:?} is not told");
            taken.extend(option);
        }
    }
    assert_eq!(told, taken);
}

#[test]
fn the_picture_is_there_and_small() {
    let link = README.split("](").nth(1).and_then(|rest| rest.split(')').next()).expect("a picture");
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(link);
    let size = std::fs::metadata(&file).expect("the picture").len();
    assert!(size < 200_000, "{size} bytes");
}
