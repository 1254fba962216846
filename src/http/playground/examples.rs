//! The example operations that the playground opens with, one tab each.

use serde_json::json;

/// Operation name, which is the tab's title, and text of every example, in the order of the tabs.
pub const EXAMPLES: [(&str, &str); 6] = [
    ("TenantsWithStats", include_str!("examples/tenants_with_stats.graphql")),
    ("TenantStats", include_str!("examples/tenant_stats.graphql")),
    ("DeletionPreview", include_str!("examples/deletion_preview.graphql")),
    ("DeleteTenant", include_str!("examples/delete_tenant.graphql")),
    ("TenantDeletion", include_str!("examples/tenant_deletion.graphql")),
    ("Viewer", include_str!("examples/viewer.graphql")),
];

/// The variables of each of [`EXAMPLES`], as JSON; `TENANT_ID` stands where the tenant's id belongs.
pub const VARIABLES: [&str; 6] = [
    include_str!("examples/tenants_with_stats.json"),
    include_str!("examples/tenant_stats.json"),
    include_str!("examples/deletion_preview.json"),
    include_str!("examples/delete_tenant.json"),
    include_str!("examples/tenant_deletion.json"),
    include_str!("examples/viewer.json"),
];

/// The script that hands the examples to the page.
pub(super) fn script() -> String {
    let tabs: Vec<_> = EXAMPLES
        .iter()
        .zip(VARIABLES)
        .map(|((_, query), variables)| json!({ "query": query, "variables": variables.trim_end() }))
        .collect();
    format!("const tenantGatewayExamples = {};\n", json!(tabs))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_example_says_what_it_does_and_is_named_as_its_tab() {
        for (title, text) in EXAMPLES {
            let mut lines = text.lines();
            assert!(lines.next().is_some_and(|line| line.starts_with("# ")), "{title}");
            let operation = lines.next().unwrap_or_default();
            let named = operation.split([' ', '(', '{']).nth(1);
            assert_eq!(named, Some(title));
        }
    }

    #[test]
    fn variables_are_the_ones_that_the_operation_declares() {
        for ((title, text), variables) in EXAMPLES.iter().zip(VARIABLES) {
            let given: serde_json::Map<String, serde_json::Value> = serde_json::from_str(variables).unwrap();
            let signature = text.lines().nth(1).unwrap();
            assert_eq!(signature.matches('$').count(), given.len(), "{title}");
            for name in given.keys() {
                assert!(signature.contains(&format!("${name}:")), "{title} does not declare {name}");
            }
        }
    }
}
