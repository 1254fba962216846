//! Tables whose rows refer to one another in circles, and rows that refer to rows of their own table.

use sea_orm::{DbBackend, Value};
use tenant_gateway::{
    cascade::{self, Range, Settings, StepKind},
    database::Error,
};

use crate::{
    plan::{deletion, erase_one_of_two, gaps, make, plan, put, two_tenants},
    support::{TestApp, id, on_both},
};

/// Trees of rows by a reference that may be null, whatever the key does when a row goes.
#[tokio::test]
async fn a_tree_goes_in_batches_whatever_its_key_does() {
    on_both(async |app| {
        for action in ["NO ACTION", "RESTRICT", "CASCADE", "SET NULL"] {
            let table = format!("tree_{}", action.replace(' ', "_").to_lowercase());
            // SET NULL would null the tenant as well.
            let key = if action == "SET NULL" {
                format!("UNIQUE (id), FOREIGN KEY (parent) REFERENCES {table} (id) ON DELETE {action}")
            } else {
                format!("FOREIGN KEY (tenant_id, parent) REFERENCES {table} (tenant_id, id) ON DELETE {action}")
            };
            let create = format!(
                "CREATE TABLE {table} (tenant_id ID NOT NULL REFERENCES tenants (id), id ID NOT NULL, parent ID, \
                 PRIMARY KEY (tenant_id, id), {key})"
            );
            make(&app, &[&create]).await;
        }
        let tenants = two_tenants(&app).await;
        for action in ["no_action", "restrict", "cascade", "set_null"] {
            for tenant in tenants {
                let mut parent = Value::Uuid(None);
                for _ in 0..5 {
                    let row = id();
                    put(&app, &format!("tree_{action}"), [tenant.into(), row.into(), parent]).await;
                    parent = row.into();
                }
            }
        }
        let breaks = plan(&app).await.steps.iter().filter(|step| !step.erases()).count();
        assert_eq!(breaks, 4);
        let walked = erase_one_of_two(&app, tenants[0]).await;
        assert_eq!(walked.rows["tree_cascade"], 5, "{walked:?}");
    })
    .await;
}

/// A reference by a single key can lead to another tenant's row: both tenants have the gap.
#[tokio::test]
async fn a_tree_across_tenants_is_a_gap_of_the_rows() {
    on_both(async |app| {
        make(
            &app,
            &["CREATE TABLE tree (id ID PRIMARY KEY, tenant_id ID NOT NULL REFERENCES tenants (id), \
               parent ID REFERENCES tree (id) ON DELETE CASCADE)"],
        )
        .await;
        let tenants = two_tenants(&app).await;
        let tops = [id(), id()];
        for (tenant, top) in tenants.into_iter().zip(tops) {
            put(&app, "tree", [top.into(), tenant.into(), Value::Uuid(None)]).await;
            put(&app, "tree", [id().into(), tenant.into(), top.into()]).await;
        }
        let crossing = id();
        put(&app, "tree", [crossing.into(), tenants[1].into(), tops[0].into()]).await;
        for tenant in tenants {
            let found = gaps(&app, &Settings::default(), Some(tenant)).await;
            assert!(matches!(&found[..], [gap] if gap.contains("(parent) and (tenant_id)")), "{found:?}");
        }
        app.sql("DELETE FROM tree WHERE id = $1", [crossing.into()]).await;
        erase_one_of_two(&app, tenants[0]).await;
    })
    .await;
}

/// A table of rows whose reference is never null: those at the top refer to themselves.
async fn make_stubborn(app: &TestApp) {
    make(
        app,
        &["CREATE TABLE tree (tenant_id ID NOT NULL REFERENCES tenants (id), id ID NOT NULL, parent ID NOT NULL, \
           PRIMARY KEY (tenant_id, id), FOREIGN KEY (tenant_id, parent) REFERENCES tree (tenant_id, id) ON DELETE RESTRICT)"],
    )
    .await;
}

/// The row at the top refers to itself.
#[tokio::test]
async fn a_tree_that_cannot_be_cut_goes_from_its_leaves() {
    on_both(async |app| {
        make_stubborn(&app).await;
        let tenants = two_tenants(&app).await;
        for tenant in tenants {
            let rows = [id(), id(), id(), id(), id()];
            for (at, row) in rows.into_iter().enumerate() {
                let parent = rows[at.saturating_sub(1)];
                put(&app, "tree", [tenant.into(), row.into(), parent.into()]).await;
            }
        }
        assert!(plan(&app).await.steps.iter().all(|step| step.kind == StepKind::Erase));
        erase_one_of_two(&app, tenants[0]).await;
    })
    .await;
}

/// Rows that refer to one another in a circle have no leaf: the walk says so and does not go on for ever.
#[tokio::test]
async fn rows_in_a_circle_that_cannot_be_cut_are_told() {
    on_both(async |app| {
        make_stubborn(&app).await;
        let [tenant, _] = two_tenants(&app).await;
        let (one, other) = (id(), id());
        put(&app, "tree", [tenant.into(), one.into(), one.into()]).await;
        put(&app, "tree", [tenant.into(), other.into(), one.into()]).await;
        app.sql("UPDATE tree SET parent = $1 WHERE id = $2", [other.into(), one.into()]).await;
        let (plan, deletion) = (plan(&app).await, deletion(&app, tenant).await);
        let step = plan.steps.iter().position(|step| step.table.name == "tree").expect("a step");
        let transaction = app.database.begin().await.expect("a transaction");
        let end =
            cascade::erase_batch(&transaction, &plan, step, tenant, &Range::default(), 10, deletion).await;
        assert!(matches!(&end, Err(Error::Circle(table)) if table == "tree"), "{end:?}");
    })
    .await;
}

/// Two tables that refer to each other; `null` and `more` end the definition of the column and of the key.
async fn make_circle(app: &TestApp, null: &str, more: &str) {
    let table = |name: &str, other: &str, key: bool| {
        let key = if key {
            format!(", FOREIGN KEY (t, other) REFERENCES {other} (t, id) {more}")
        } else {
            String::new()
        };
        format!(
            "CREATE TABLE {name} (t ID REFERENCES tenants (id), id ID, other ID {null}, PRIMARY KEY (t, id){key})"
        )
    };
    let is_sqlite = app.backend() == DbBackend::Sqlite;
    make(app, &[&table("left_hand", "right_hand", is_sqlite), &table("right_hand", "left_hand", true)]).await;
    if !is_sqlite {
        let key =
            format!("ALTER TABLE left_hand ADD FOREIGN KEY (t, other) REFERENCES right_hand (t, id) {more}");
        make(app, &[&key]).await;
    }
}

#[tokio::test]
async fn a_circle_is_broken_where_a_column_may_be_null() {
    on_both(async |app| {
        make_circle(&app, "", "ON DELETE CASCADE").await;
        let tenants = two_tenants(&app).await;
        for tenant in tenants {
            for _ in 0..3 {
                let (left, right) = (id(), id());
                put(&app, "left_hand", [tenant.into(), left.into(), Value::Uuid(None)]).await;
                put(&app, "right_hand", [tenant.into(), right.into(), left.into()]).await;
                let tie = "UPDATE left_hand SET other = $1 WHERE t = $2 AND id = $3";
                app.sql(tie, [right.into(), tenant.into(), left.into()]).await;
            }
        }
        let walked = erase_one_of_two(&app, tenants[0]).await;
        assert_eq!((walked.rows["left_hand"], walked.rows["right_hand"]), (3, 3));
    })
    .await;
}

#[tokio::test]
async fn a_circle_that_can_be_deferred_goes_in_one_transaction() {
    on_both(async |app| {
        make_circle(&app, "NOT NULL", "DEFERRABLE INITIALLY IMMEDIATE").await;
        let tenants = two_tenants(&app).await;
        for tenant in tenants {
            let transaction = app.database.begin().await.expect("a transaction");
            let is_sqlite = app.backend() == DbBackend::Sqlite;
            let defer =
                if is_sqlite { "PRAGMA defer_foreign_keys = ON" } else { "SET CONSTRAINTS ALL DEFERRED" };
            sea_orm::ConnectionTrait::execute_unprepared(&transaction, defer).await.expect("later");
            for (left, right) in [(id(), id()), (id(), id()), (id(), id())] {
                for (table, row, other) in [("left_hand", left, right), ("right_hand", right, left)] {
                    let text = format!("INSERT INTO {table} VALUES ($1, $2, $3)");
                    let values = [tenant.into(), row.into(), other.into()];
                    let statement = sea_orm::Statement::from_sql_and_values(app.backend(), text, values);
                    sea_orm::ConnectionTrait::execute_raw(&transaction, statement).await.expect("a row");
                }
            }
            transaction.commit().await.expect("an end");
        }
        let walked = erase_one_of_two(&app, tenants[0]).await;
        assert_eq!((walked.rows["left_hand"], walked.rows["right_hand"]), (3, 3));
    })
    .await;
}

#[tokio::test]
async fn a_circle_that_nothing_breaks_is_a_gap() {
    on_both(async |app| {
        make_circle(&app, "NOT NULL", "ON DELETE RESTRICT").await;
        let found = gaps(&app, &Settings::default(), None).await;
        assert!(matches!(&found[..], [gap] if gap.contains("left_hand, right_hand")), "{found:?}");
    })
    .await;
}

/// The commonest circle: each tenant has an owner, who is a row of the tenant.
#[tokio::test]
async fn a_circle_through_tenants_is_broken_there() {
    on_both(async |app| {
        make(
            &app,
            &[
                "CREATE TABLE people (id ID PRIMARY KEY, tenant_id ID NOT NULL REFERENCES tenants (id))",
                "ALTER TABLE tenants ADD COLUMN owner_id ID REFERENCES people (id)",
            ],
        )
        .await;
        let tenants = two_tenants(&app).await;
        for tenant in tenants {
            let person = id();
            put(&app, "people", [person.into(), tenant.into()]).await;
            app.sql("UPDATE tenants SET owner_id = $1 WHERE id = $2", [person.into(), tenant.into()]).await;
        }
        let plan = plan(&app).await;
        assert_eq!(plan.steps[0].kind, StepKind::Break { column: "owner_id".to_owned() });
        assert_eq!(plan.root().table.name, "tenants");
        erase_one_of_two(&app, tenants[0]).await;
    })
    .await;
}
